"""Sessions in the table of Phalcon's adapter HandlerSocket, shared with PHP.

They are reached through HandlerSocket, and PHP may run at the same time.

The adapter takes no lock. A page of PHP that has read a session writes it whole, and overwrites what was written in
between. Here each write compares the data that were loaded; `claims` says how.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from datetime import timedelta

from ..._time import parse_duration
from ...handlersocket import Client, Row, Where
from ...stores._support.cleanup import delete_in_batches
from ...stores._support.loop_local import LoopLocal, within
from ...stores._support.options import check_options
from ...stores.base import DEFAULT_MAX_DATA_BYTES, DEFAULT_TIMEOUT, Finding, SessionStore, Stored, check_expires_at
from ...stores.handlersocket.ports import Ports, address_of
from ...stores.handlersocket.rows import insert_row
from ..leftovers import left_behind
from ..local_times import LocalTimes
from ..session_ids import check_session_id, is_session_id
from ..session_rows import check_id_fits, check_session_row, check_size_read
from ..settings import PHP_LIFETIME
from . import conditions
from .errors import PHPErrorTranslator
from .indexes import php_indexes_of
from .table import PHPTable
from .table_probe import Columns, probe

_BATCH_SIZE = 25
"""Expired rows deleted at once."""
_MOST_COUNTED = 1000
"""Expired rows that `diagnose` counts."""


class PHPHandlerSocketStore(SessionStore):
    """A store over the table of Phalcon's adapter HandlerSocket.

    Keys are the ids of PHP sessions.

    `port` is that for reading, `port_wr` that for writing. `secret` and `secret_wr` are the server's
    `handlersocket_plain_secret` and `handlersocket_plain_secret_wr`; without the second it is the same. `lifetime` is
    PHP's `session.gc_maxlifetime`, in seconds or as a timedelta. `timezone` is PHP's `date.timezone`: the table keeps
    times without a zone. `timeout` is the budget of an operation in seconds; `clock` gives unix seconds. Up to
    `pool_size` connections are made to each port.

    Raises `ConfigurationError` for settings that can't work. Data that PHP couldn't read are refused when they are
    written, by `NotSerializable`.
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
        lifetime: int | timedelta = PHP_LIFETIME,
        timezone: str = "UTC",
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        self.max_data_bytes = max_data_bytes
        self.lifetime = parse_duration(lifetime, "lifetime")
        self._indexes = php_indexes_of(dbname, dbtable)
        self._table = PHPTable(self._indexes, LocalTimes(timezone), self.lifetime, clock)
        self._address = address_of(host, port, port_wr, secret, secret_wr)
        self._errors = PHPErrorTranslator(host, self._indexes.table)
        self._timeout = timeout
        self._pool_size = pool_size
        self._columns: Columns | None = None
        self._ports = LoopLocal(self._make_ports, close=Ports.aclose, abandon=Ports.abandon)

    async def load(self, key: str) -> Stored | None:
        check_session_id(key)
        async with self._operation() as ports:
            found = await ports.read(Client.find, self._indexes.rows, Where("=", (key,)))
        row = self._table.living(found, key)
        if row is None:
            return None
        check_size_read(row.data, self.max_data_bytes)
        return Stored(row.data, row.data, row.used_at + self.lifetime)

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        async with self._operation() as ports:
            columns = await self._look(ports)
            columns.check(data)
            check_id_fits(key, columns.id_length)
            values = (key, self._table.modified(expires_at), data)
            expired = conditions.expired(key, self._table.newest_expired())
            return await insert_row(ports, self._indexes, self._indexes.rows, values, expired)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        if type(version) is not bytes:
            return False
        values = (key, self._table.modified(expires_at), data)
        async with self._operation() as ports:
            (await self._look(ports)).check(data)

            def swap(claimed: Where) -> Awaitable[list[Row]]:
                return ports.write(Client.fetch_and_update, self._indexes.rows, claimed, values)

            return await self._table.change(ports, key, version, swap)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_session_id(key)
        check_expires_at(expires_at)
        async with self._operation() as ports:

            def move(claimed: Where) -> Awaitable[list[Row]]:
                values = (self._table.modified(expires_at),)
                return ports.write(Client.fetch_and_update, self._indexes.expiries, claimed, values)

            return await self._table.change(ports, key, None, move)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_session_id(key)
        if version is not None and type(version) is not bytes:
            return False
        async with self._operation() as ports:

            def remove(claimed: Where) -> Awaitable[list[Row]]:
                return ports.write(Client.fetch_and_delete, self._indexes.expiries, claimed)

            return await self._table.change(ports, key, version, remove)

    async def delete_expired(self, limit: int = 1000) -> int:
        """Collect expired rows.

        PHP doesn't do so where `session.gc_probability` is 0, as in Debian.
        """
        return await delete_in_batches(self._delete_batch, limit, batch_size=_BATCH_SIZE)

    async def all_keys(self) -> AsyncIterator[str]:
        """Yield the ids of all sessions; see `SupportsListing`."""
        page: list[Row] = [(b"",)]
        while page:
            async with self._operation() as ports:
                page = await ports.read(Client.find, self._indexes.keys, Where(">", page[-1], limit=1000))
            for (name,) in page:
                key = (name or b"").decode(errors="replace")
                if is_session_id(key):
                    yield key

    async def diagnose(self) -> list[Finding]:
        """Look whether the table changes what is stored; see `SupportsDiagnosis`.

        It also looks whether old sessions go.
        """
        long_ago = conditions.all_expired(self._table.newest_expired(ago=self.lifetime), _MOST_COUNTED)
        async with self._operation() as ports:
            columns = await self._look(ports)
            left = await ports.read(Client.find, self._indexes.oldest, long_ago)
        return [*columns.findings(), *left_behind(len(left))]

    async def drain(self, hold: float = 0.5) -> None:
        """Close all connections, and make none for `hold` seconds.

        So an `ALTER TABLE` gets through; see `HandlerSocketStore`.
        """
        await self._ports.get().drain(hold)

    async def open(self) -> None:
        """Reach the server, and look at the table.

        Raises `ConfigurationError` if PHP's columns aren't there.
        """
        async with self._operation() as ports:
            await self._look(ports)

    async def aclose(self) -> None:
        await self._ports.aclose()

    @asynccontextmanager
    async def _operation(self) -> AsyncIterator[Ports]:
        """Bound one operation, and translate the errors of the client."""
        with self._errors:
            async with within(self._timeout):
                yield self._ports.get()

    async def _look(self, ports: Ports) -> Columns:
        """Return what the columns hold, and lower `max_data_bytes` to that.

        The columns are looked at once.
        """
        if self._columns is None:
            self._columns = await probe(await ports.reading.client(), await ports.writing.client(), self._indexes)
        self.max_data_bytes = min(self._columns.max_bytes, self.max_data_bytes or self._columns.max_bytes)
        return self._columns

    async def _delete_batch(self, count: int) -> int:
        expired = conditions.all_expired(self._table.newest_expired(), count)
        abandoned = conditions.all_abandoned(self._table.last_expired_claim(), count)
        async with self._operation() as ports:
            found = await ports.read(Client.find, self._indexes.oldest, expired)
            found += await ports.read(Client.find, self._indexes.oldest, abandoned)
            wheres = [conditions.still(key, modified) for key, modified in found[:count]]
            deletes = (ports.write(Client.fetch_and_delete, self._indexes.expiries, where) for where in wheres)
            return sum(map(len, await asyncio.gather(*deletes)))

    def _make_ports(self) -> Ports:
        return Ports(self._address, self._indexes, size=self._pool_size, timeout=self._timeout)
