"""Sessions in MySQL or MariaDB through HandlerSocket, in the table `php_session`.

The table is that of Phalcon's HandlerSocket adapter. One row per session, one line and one round trip per
operation: finds go to the port for reading, changes to the one for writing. A row's expiry is `modified`
(UTC) + lifetime; a session with another expiry has its `modified` shifted, so that the sum is exact.

A change asks for the row as it was before, which names its key: so the answer to another request's
change can't be taken for ours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable
from datetime import timedelta
from typing import TYPE_CHECKING

from ..._time import parse_duration
from ...errors import ConfigurationError, StoreUnavailable
from ...handlersocket import Client, Row, Where
from .._support.cleanup import delete_in_batches
from .._support.loop_local import LoopLocal
from .._support.options import check_options
from ..base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    Stored,
    check_expires_at,
    check_key,
    check_row,
    is_key,
)
from ..mysql.schema import TableSpec
from ..mysql.statements import MAX_LIFETIME
from ..mysql.text_encoding import from_text, to_text
from . import columns
from .errors import LOST, ErrorTranslator
from .owned_rows import OwnedRows, fetch_and_update
from .ports import Ports, address_of
from .rows import contains, find_row, insert_row
from .schema_probe import probe, probe_owners

if TYPE_CHECKING:
    from .schema_sql import SQL

_logger = logging.getLogger("starlette_sessions_ext")

_BATCH_SIZE = 25
"""Expired rows deleted at once."""
_UNKNOWN_BYTES = 65_535  # before the server was asked: TEXT, the smallest that the migrations make or leave
_ROLLED_BACK = (
    "HandlerSocket has taken back a write that it had acknowledged: an SQL transaction locks more than one session,"
    " which nothing else in this database may do"
)


class HandlerSocketStore(OwnedRows):
    """A store in MySQL or MariaDB with the HandlerSocket plugin.

    `port` is that for reading, `port_wr` for writing.

    `secret` and `secret_wr` are the server's `handlersocket_plain_secret` and
    `handlersocket_plain_secret_wr`; without the second it is the same. `lifetime` is what a row
    lives after `modified`, in seconds or as a timedelta; any other program that reads or collects the
    table must use the same. `timeout` is the budget of one operation in seconds; `clock` gives
    unix seconds. Up to `pool_size` connections are made to each port. `max_data_bytes` is lowered
    to what the table holds, which `open` finds out; until then to 65,535. Each event loop that uses
    the store has its own connections, which end with it.

    Where a `mysql_url` of the same server is given, `open` and `diagnose` look at its schema and
    settings over SQL; without one `open` finds out by trying.

    With `verify_writes` what was written is read again on the port for reading, which sees only
    what was committed: another round trip, against SQL transactions that make the server take back
    what it has acknowledged. A `create` whose row `delete_all_of` removes before that raises as well.

    The protocol is neither encrypted nor replicated, and its secret opens every table of the
    server: keep it on one machine.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 9998,
        port_wr: int = 9999,
        dbname: str = "session",
        dbtable: str = "php_session",
        *,
        secret: str | None = None,
        secret_wr: str | None = None,
        lifetime: int | timedelta = 3600,
        mysql_url: str | None = None,
        verify_writes: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        if mysql_url is not None and not isinstance(mysql_url, str):
            raise ConfigurationError("mysql_url must be a str, such as mysql://user:password@host:3306/database")
        self._indexes = columns.indexes_of(dbname, dbtable)
        self._owner_indexes = columns.owner_indexes_of(dbname, dbtable)
        self._address = address_of(host, port, port_wr, secret, secret_wr)
        self._errors = ErrorTranslator(host, self._indexes.table)
        self._lifetime = parse_duration(lifetime, "lifetime", maximum=MAX_LIFETIME)
        self._sql = _sql(mysql_url, self._indexes.table, timeout) if mysql_url else None
        self._verify_writes = verify_writes
        self._timeout = timeout
        self._pool_size = pool_size
        self._clock = clock
        self._ports = LoopLocal(self._make_ports, close=Ports.aclose, abandon=Ports.abandon)
        self._is_checked = False
        self._configured_bytes = max_data_bytes
        self._column_bytes = _UNKNOWN_BYTES
        self.max_data_bytes: int | None = min(max_data_bytes, _UNKNOWN_BYTES)

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        with self._errors:
            ports = await self._ready()
            found = await ports.read(Client.find, self._indexes.rows, Where("=", (key,)))
        if not found:
            return None
        [(_, modified, text, version)] = found
        expires_at = columns.from_time(modified) + self._lifetime
        return Stored(from_text(text or b""), int(version or 0), expires_at) if self._clock() < expires_at else None

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        values = (key, self._modified(expires_at), to_text(data, self._column_bytes), columns.first_version())
        with self._errors:
            ports = await self._ready()
            index, owned = await self._writing(owner)
            try:
                expired = columns.expired(key, self._newest_expired())
                made = await insert_row(ports, self._indexes, index, (*values, *owned), expired)
            except LOST:
                if not await contains(ports, self._indexes, key, data):
                    raise
                return True
            if made and self._verify_writes and not await contains(ports, self._indexes, key, data):
                raise StoreUnavailable(_ROLLED_BACK)
            return made

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        modified, text = self._modified(expires_at), to_text(data, self._column_bytes)
        if not columns.is_version(version):
            return False
        where, next_version = columns.living(key, self._newest_expired(), version), columns.version_after(version)
        with self._errors:
            ports = await self._ready()
            index, owned = await self._writing(owner)
            try:
                values = (key, modified, text, next_version, *owned)
                before = await ports.write(fetch_and_update, index, where, values)
            except LOST:
                if not await contains(ports, self._indexes, key, data):
                    raise
                return True
            if before and self._verify_writes:
                for *_, found in await find_row(ports, self._indexes, key):
                    if columns.was_rolled_back(int(found or 0), version, next_version):
                        raise StoreUnavailable(_ROLLED_BACK)
            return bool(before)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        where, values = columns.living(key, self._newest_expired()), (key, self._modified(expires_at))
        with self._errors:
            ports = await self._ready()
            return bool(await ports.write(Client.fetch_and_update, self._indexes.expiries, where, values))

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        if version is not None and not columns.is_version(version):
            return False
        where = columns.living(key, self._newest_expired(), version)
        with self._errors:
            ports = await self._ready()
            return bool(await ports.write(Client.fetch_and_delete, self._indexes.expiries, where))

    async def delete_expired(self, limit: int = 1000) -> int:
        """Remove expired sessions at a pace that requests hardly notice.

        Each row goes by its own key, as all changes lock. To delete by the index of `modified` would lock
        rows in another order than they do, and end some of them in a deadlock.
        """
        return await delete_in_batches(self._delete_batch, limit, batch_size=_BATCH_SIZE)

    async def _delete_batch(self, count: int) -> int:
        newest_expired = self._newest_expired()
        with self._errors:
            ports = await self._ready()
            found = await ports.read(Client.find, self._indexes.oldest, Where("<=", (newest_expired,), limit=count))
            wheres = [columns.expired(key, newest_expired) for (key,) in found]
            deletes = (ports.write(Client.fetch_and_delete, self._indexes.expiries, where) for where in wheres)
            return sum(map(len, await asyncio.gather(*deletes)))

    async def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all sessions; see `SupportsListing`."""
        page: list[Row] = [(b"",)]
        while page:
            where = Where(">", page[-1], limit=1000)
            with self._errors:
                ports = await self._ready()
                page = await ports.read(Client.find, self._indexes.keys, where)
            for (name,) in page:
                key = (name or b"").decode(errors="replace")
                if is_key(key):  # not PHP's
                    yield key

    async def drain(self, hold: float = 0.5) -> None:
        """Close all connections, and make none for `hold` seconds.

        So a waiting `ALTER TABLE` gets through. While a connection is open it waits, and holds up all SQL on
        the table. A request made then waits as well; with a `hold` of half the `timeout` or more it may fail.
        After it service goes on. Every process that uses the store has to do so.
        """
        await self._ports.get().drain(hold)

    async def diagnose(self) -> list[Finding]:
        """Return what SQL shows to lose or expose sessions; see `SupportsDiagnosis`."""
        with self._errors:
            await self._check(self._ports.get())
        return await self._findings()

    async def open(self) -> None:
        """Reach the server and check the table.

        `ConfigurationError` says the statement that repairs it. The log says what adds owners to a table
        without them.
        """
        with self._errors:
            await self._check(self._ports.get())
        for finding in await self._findings():
            _logger.warning("%s: %s", finding.problem, finding.remedy)

    async def aclose(self) -> None:
        await self._ports.aclose()

    async def _findings(self) -> list[Finding]:
        over_sql = [] if self._sql is None else await self._sql.findings()
        return over_sql if self._no_owners is None else [self._no_owners, *over_sql]

    # Requests

    async def _ready(self) -> Ports:
        ports = self._ports.get()
        if not self._is_checked:
            async with ports.checking:
                if not self._is_checked:
                    await self._check(ports)
        return ports

    async def _check(self, ports: Ports) -> None:
        async with asyncio.timeout(self._timeout):
            reading, writing = await ports.reading.client(), await ports.writing.client()
            if self._sql is None:
                self._column_bytes = await probe(reading, writing, self._indexes)
                self._no_owners = await probe_owners(reading, writing, self._owner_indexes, self._indexes.table)
            else:
                self._column_bytes, self._no_owners = await self._sql.check()
        self._is_checked = True
        self.max_data_bytes = min(self._configured_bytes, self._column_bytes)

    def _make_ports(self) -> Ports:
        return Ports(self._address, self._indexes, size=self._pool_size, timeout=self._timeout)

    # Values

    def _newest_expired(self) -> str:
        """Return the newest `modified` of rows that have expired."""
        return columns.to_time(int(self._clock()) - self._lifetime)

    def _modified(self, expires_at: int) -> str:
        return columns.to_time(expires_at - self._lifetime)


def _sql(url: str, table: TableSpec, timeout: float) -> SQL:
    """Import the SQL check, since HandlerSocket itself needs no driver."""
    try:
        from .schema_sql import SQL
    except ImportError as error:  # pragma: no cover - tested in an interpreter without asyncmy
        raise ImportError('mysql_url needs asyncmy: pip install "starlette-sessions-ext[mysql]"') from error
    return SQL(url, table, timeout)
