"""Sessions in MySQL or MariaDB, in Phalcon's table `session_data`.

One row per session, one statement and one round trip per operation, in autocommit mode; what is
loaded in one turn of the event loop shares a statement. A row's expiry is
COALESCE(modified_at, created_at) + lifetime, as the adapter has it; a session with another
expiry has its `modified_at` shifted, so that the sum is exact.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

try:
    from asyncmy import Pool
except ImportError as error:  # pragma: no cover - tested in an interpreter without asyncmy
    raise ImportError('DatabaseStore needs asyncmy: pip install "starlette-sessions-ext[mysql]"') from error

from ..._time import parse_duration
from .._support.batching import Batcher
from .._support.cleanup import delete_in_batches
from .._support.driver_versions import check_version
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
from . import statements
from .borrowed_pool import BorrowedPool
from .connections import Connections
from .errors import DRIVER_ERRORS, is_connection_lost, is_duplicate
from .execution import deadline
from .loop_state import LoopState
from .names import parse_names
from .owned_rows import OwnedRows
from .pool import OwnedPool
from .startup_check import UNKNOWN_LIMITS, Limits
from .table import SessionTable
from .text_encoding import from_text, to_text
from .url import address_of, migrate_command, settings_of

check_version("asyncmy")

_logger = logging.getLogger("starlette_sessions_ext")

_MAX_BATCHED_LOADS = 32
"""Sessions loaded by one statement: its fixed cost is shared well by then."""
_BATCH_SIZE = 100
"""Expired rows deleted at once."""


class DatabaseStore(OwnedRows):
    """A store in MySQL 8 or MariaDB 10.5, or later.

    Takes a URL (`mysql://user:password@host:3306/database`, also with `?unix_socket=`, `?ssl=true`
    or `?ssl_ca=`), for which it makes up to `pool_size` connections and closes them, or an
    asyncmy pool, which it uses and never closes, and only in the event loop that made it. Give such
    a pool `autocommit=True`, or every operation costs a second round trip for the commit; a
    `pool_recycle` of at most 240 seconds, against firewalls that forget idle connections; and a
    `connect_timeout`: while asyncmy's pool connects, it gives out no connection.

    `table` (`database.table` for another database) and the columns are those of the migrations. A table without the
    column of the owner serves sessions as before; what needs an owner raises `ConfigurationError`.
    `lifetime` is what a row lives after `modified_at`, in seconds or as a timedelta; any other program
    that reads or collects the table must use the same. `timeout` is the budget of one operation
    in seconds; `clock` gives unix seconds. `max_data_bytes` is lowered to what the table holds, which
    `open` finds out; until then to 65,535.

    Each event loop that uses the store has its own connections, which end with it.
    """

    def __init__(
        self,
        pool_or_url: Pool | str,
        *,
        table: str = "session_data",
        lifetime: int | timedelta = 14 * 24 * 60 * 60,
        column_session_id: str = "session_id",
        column_data: str = "data",
        column_created_at: str = "created_at",
        column_modified_at: str = "modified_at",
        column_version: str = "version",
        column_owner: str = "owner",
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        names = parse_names(
            table,
            session_id=column_session_id,
            data=column_data,
            created_at=column_created_at,
            modified_at=column_modified_at,
            version=column_version,
            owner=column_owner,
        )
        self._lifetime = parse_duration(lifetime, "lifetime", maximum=statements.MAX_LIFETIME)
        self._timeout = timeout
        self._clock = clock
        self._configured_bytes = max_data_bytes
        self._pool_size = pool_size
        self._source = settings_of(pool_or_url) if isinstance(pool_or_url, str) else BorrowedPool(pool_or_url)
        self._address = BorrowedPool.address if isinstance(self._source, BorrowedPool) else address_of(self._source)
        migrate = migrate_command(None if isinstance(self._source, BorrowedPool) else self._source)
        self._loop_states = LoopLocal(self._make_loop_state, close=LoopState.aclose, abandon=LoopState.abandon)
        self._table = SessionTable(names, migrate, self._current, timeout)
        self._table.on_check = self._set_limits
        self.max_data_bytes: int | None = min(max_data_bytes, UNKNOWN_LIMITS.data_bytes)

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        async with self._deadline():
            return await self._loop_states.get().loads.submit(key)

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        # A random version, so that one of a row that was deleted and made again is worth nothing.
        values = (
            to_text(data, self._table.limits.data_bytes),
            int(self._clock()),
            self._modified_at(expires_at),
            secrets.randbits(62),
        )
        async with self._deadline():
            try:
                async with self._attempt():
                    owned = await self._table.owned(owner)
                    statement = statements.CREATE_OWNED if owned else statements.CREATE
                    # Taken by a write of ours that was thought lost: then it has come after all.
                    return await self._insert(statement, key, *values, *owned) or await self._contains(key, data)
            except DRIVER_ERRORS:
                if await self._contains(key, data):
                    return True
                raise

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        text, modified_at = to_text(data, self._table.limits.data_bytes), self._modified_at(expires_at)
        if type(version) is not int:
            return False
        async with self._deadline():
            try:
                async with self._attempt():
                    owned = await self._table.owned(owner)
                    statement = statements.REPLACE_OWNED if owned else statements.REPLACE
                    where = (key, version, self._newest_expired())
                    return await self._table.change(statement, text, modified_at, *owned, *where)
            except DRIVER_ERRORS:
                if await self._contains(key, data):
                    return True
                raise

    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        async with self._deadline():
            if await self._table.change(statements.TOUCH, self._modified_at(expires_at), key, self._newest_expired()):
                return True
            # Without CLIENT_FOUND_ROWS a row that has this very expiry already counts as none.
            if self._current().counts_found_rows:
                return False
            return bool((await self._table.run(statements.LOAD, key, self._newest_expired())).rows)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        if version is not None and type(version) is not int:
            return False
        async with self._deadline():
            if version is None:
                return await self._table.change(statements.DELETE, key, self._newest_expired())
            return await self._table.change(statements.DELETE_VERSION, key, self._newest_expired(), version)

    async def delete_expired(self, limit: int = 1000) -> int:
        """Remove expired sessions at a pace that requests hardly notice.

        Each step has the budget of an operation. The keys are read without locks, and deleted by primary key
        if they are still expired then.
        """
        return await delete_in_batches(self._delete_batch, limit, batch_size=_BATCH_SIZE)

    async def _delete_batch(self, count: int) -> int:
        expired = self._newest_expired()
        async with self._deadline():
            keys = [key for (key,) in (await self._table.run(statements.FIND_EXPIRED, expired, expired, count)).rows]
            if not keys:
                return 0
            return (await self._table.run(statements.DELETE_EXPIRED, *keys, expired, repeat=len(keys))).rowcount

    async def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all sessions; see `SupportsListing`."""
        page = [""]
        while page:
            async with self._deadline():
                page = [key for (key,) in (await self._table.run(statements.KEYS, page[-1])).rows]
            for key in page:
                if is_key(key):  # not PHP's
                    yield key

    async def diagnose(self) -> list[Finding]:
        """Check durability and the index of expiry; see `SupportsDiagnosis`."""
        async with self._deadline():
            return await self._table.findings()

    async def open(self) -> None:
        """Reach the server, check the table, and that the account may write.

        Raises `StoreUnavailable` if it may not. `ConfigurationError` says the statement that repairs the
        table. The log says what adds owners to one without.
        """
        async with self._deadline():
            await self._table.check()
            await self._table.try_writing()
        if self._table.limits.no_owners is not None:
            _logger.warning("%s: %s", *self._table.limits.no_owners)

    async def aclose(self) -> None:
        await self._loop_states.aclose()

    # Statements

    async def _find(self, keys: list[str]) -> list[Stored | None]:
        """Return what `load` returns for each of the keys, in one round trip."""
        try:
            async with asyncio.timeout(self._timeout / 2):
                found = await self._rows_of(keys)
        except DRIVER_ERRORS as error:
            if not is_connection_lost(error) and not isinstance(error, TimeoutError):
                raise
            self._current().forget_idle()  # what a firewall did to one connection it did to all that were silent
            found = await self._rows_of(keys)  # to read twice does no harm
        return [found.get(key) for key in keys]

    async def _rows_of(self, keys: list[str]) -> dict[str, Stored]:
        found = (await self._table.run(statements.LOAD, *keys, self._newest_expired(), repeat=len(keys))).rows
        return {
            key: Stored(from_text(data), version, modified_at + self._lifetime)
            for key, data, version, modified_at in found
        }

    async def _insert(self, statement: str, key: str, *values: str | int | None) -> bool:
        """Insert the row in place of an expired one, which is in the way at first."""
        try:
            return await self._table.change(statement, key, *values)
        except DRIVER_ERRORS as error:
            if not is_duplicate(error):
                raise
        dropped = await self._table.change(statements.DROP_IF_EXPIRED, key, self._newest_expired())
        return dropped and await self._insert(statement, key, *values)

    async def _contains(self, key: str, data: bytes) -> bool:
        found = (await self._table.run(statements.SELECT_DATA, key)).rows
        return bool(found) and from_text(found[0][0]) == data

    def _current(self) -> Connections:
        return self._loop_states.get().connections

    def _make_loop_state(self) -> LoopState:
        loads = Batcher(self._find, max_size=_MAX_BATCHED_LOADS, timeout=self._timeout)
        if isinstance(self._source, BorrowedPool):
            return LoopState(self._source, loads)
        return LoopState(OwnedPool(self._source, size=self._pool_size, timeout=self._timeout), loads)

    # Values

    def _set_limits(self, limits: Limits) -> None:
        self.max_data_bytes = min(self._configured_bytes, limits.data_bytes)

    def _newest_expired(self) -> int:
        """Return the newest `modified_at` of rows that have expired."""
        return int(self._clock()) - self._lifetime

    def _modified_at(self, expires_at: int) -> int:
        """Return the column's value; 0 is long expired, and an INT ends in 2106."""
        return min(max(expires_at - self._lifetime, 0), self._table.limits.last_time)

    def _attempt(self) -> asyncio.Timeout:
        """Return a timeout by which the server has given up waiting for a lock.

        It is more than half of the budget. In the rest a write whose answer got lost can be looked for.
        """
        return asyncio.timeout(self._timeout * 0.6)

    def _deadline(self) -> AbstractAsyncContextManager[None]:
        return deadline(self._address, self._timeout)
