"""Sessions in PostgreSQL, in the table `sessions`.

One row per session, and one statement and round trip per operation, in autocommit mode. What is loaded
in one iteration of the event loop shares a statement, and so does what is replaced. Each operation runs
in its own task, so that a cancelled request never interrupts asyncpg between two of its steps.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeGuard

try:
    from asyncpg import Pool
except ImportError as error:  # pragma: no cover - tested in an interpreter without asyncpg
    raise ImportError('PostgreSQLStore needs asyncpg: pip install "starlette-sessions-ext[postgresql]"') from error

from ...errors import ConfigurationError, StoreError
from .._support.batching import Batcher
from .._support.cleanup import delete_in_batches
from .._support.driver_versions import check_version
from .._support.loop_local import LoopLocal
from .._support.options import check_options
from .._support.shielding import DetachedTasks, shielded
from ..base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    SessionStore,
    Stored,
    check_expires_at,
    check_key,
    check_owner,
    check_row,
    is_key,
)
from . import statements
from .borrowed_pool import BorrowedPool
from .connections import Connections
from .errors import DRIVER_ERRORS
from .execution import deadline, timeout_error
from .expired_rows import ExpiredRows
from .loop_state import LoopState
from .names import parse_name
from .pool import OwnedPool
from .replacing import Replacement, replace_together
from .table import SessionTable
from .url import address_of, migrate_command, settings_of

check_version("asyncpg")

_MAX_BATCH = 32
"""Sessions loaded or replaced by one statement: its fixed cost is shared well by then."""
_MAX_BATCHED_BYTES = 16 * 1024
"""What is larger is replaced by a statement for it alone: there is little fixed cost to share."""
_DELETED_AT_ONCE = 100
_LARGEST_DATA = 2**28
"""Bytes: a quarter of what a value of PostgreSQL's can hold, as a message and its copies have to fit in memory."""
_ATTEMPT = 0.6
"""The share of the budget in which a write has to be done. The server gives up waiting for a lock before."""


class PostgreSQLStore(SessionStore):
    """A store in PostgreSQL 12 or later.

    Takes a URL (`postgresql://user:password@host:5432/database`, also `postgres://` and
    `postgresql+asyncpg://`), for which it makes up to `pool_size` connections and closes them, or an
    asyncpg pool, which it uses and never closes, and only in the event loop that made it. In the URL
    `?sslmode=` and `?sslrootcert=` are those of libpq, `?host=/folder` is for a Unix socket, and
    `?statement_cache_size=0` is for PgBouncer in transaction mode.

    `table` is the one of the migrations; without a `schema` it is found by `search_path`. `timeout` is
    the budget of one operation in seconds; `clock` gives unix seconds.
    """

    def __init__(
        self,
        pool_or_url: Pool[Any] | str,
        *,
        table: str = "sessions",
        schema: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        if max_data_bytes is None or max_data_bytes > _LARGEST_DATA:
            raise ConfigurationError(f"a row of PostgreSQLStore holds no more than max_data_bytes={_LARGEST_DATA}")
        self.max_data_bytes: int | None = max_data_bytes
        name = parse_name(table, schema)
        self._timeout = timeout
        self._clock = clock
        self._pool_size = pool_size
        self._source = settings_of(pool_or_url) if isinstance(pool_or_url, str) else BorrowedPool(pool_or_url, timeout)
        url_settings = None if isinstance(self._source, BorrowedPool) else self._source
        self._address = BorrowedPool.address if url_settings is None else address_of(url_settings)
        self._loops = LoopLocal(self._make_loop_state, close=LoopState.aclose, abandon=LoopState.abandon)
        self._table = SessionTable(name, migrate_command(url_settings), self._connections, timeout)
        self._next_range = 0

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        async with self._deadline():
            return await self._loops.get().loads.submit(key)

    @shielded
    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        # A random version, so that one of a row that was deleted and made again is worth nothing.
        values = (key, data, secrets.randbits(62), expires_at, owner, self._now())
        async with self._deadline():
            try:
                async with self._attempt():
                    # Taken by a write of ours that was thought lost: then it has come after all.
                    return await self._table.change(statements.CREATE, *values) or await self._table.contains(key, data)
            except DRIVER_ERRORS:
                if await self._table.contains(key, data):
                    return True
                raise

    @shielded
    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        if not _is_version(version):
            return False
        new = Replacement(key, version, data, expires_at, owner)
        async with self._deadline():
            try:
                async with self._attempt():
                    return await self._replace(new)
            except DRIVER_ERRORS:
                if await self._table.contains(key, data):
                    return True
                raise

    @shielded
    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        async with self._deadline():
            return await self._table.change(statements.TOUCH, key, expires_at, self._now())

    @shielded
    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        async with self._deadline():
            if version is None:
                return await self._table.change(statements.DELETE, key, self._now())
            if not _is_version(version):
                return False
            return await self._table.change(statements.DELETE_VERSION, key, self._now(), version)

    async def delete_expired(self, limit: int = 1000) -> int:
        """Remove expired sessions at a pace that requests hardly notice.

        Each step has the budget of an operation.
        """
        rows = ExpiredRows(self._table, self._next_range)
        try:
            return await delete_in_batches(
                partial(self._delete_batch, rows), limit, batch_size=_DELETED_AT_ONCE, is_over=lambda: rows.is_over
            )
        finally:
            self._next_range = rows.place

    @shielded
    async def _delete_batch(self, rows: ExpiredRows, count: int) -> int:
        async with self._deadline():
            return await rows.delete(count, self._now())

    @shielded
    async def keys_of(self, owner: str) -> list[str]:
        check_owner(owner)
        async with self._deadline():
            return await self._table.fetch_keys(statements.KEYS_OF, owner, self._now())

    @shielded
    async def owner_of(self, key: str) -> str | None:
        check_key(key)
        async with self._deadline():
            found = await self._table.fetch(statements.OWNER_OF, key, self._now())
            return found[0][0] if found else None

    @shielded
    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        check_owner(owner)
        if keep is not None:
            check_key(keep)
        async with self._deadline():
            [(count,)] = await self._table.fetch(statements.DELETE_ALL_OF, owner, keep, self._now())
            return int(count)

    async def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all sessions; see `SupportsListing`."""
        page = [""]
        while page:
            page = await self._page(page[-1])
            for key in page:
                if is_key(key):
                    yield key

    @shielded
    async def _page(self, after: str) -> list[str]:
        async with self._deadline():
            return await self._table.fetch_keys(statements.KEYS, after)

    @shielded
    async def diagnose(self) -> list[Finding]:
        """Check durability and the indexes; see `SupportsDiagnosis`."""
        async with self._deadline():
            await self._table.check()
            await self._table.try_writing()
            return await self._table.findings()

    @shielded
    async def open(self) -> None:
        """Reach the server, check the table, and that the account may write.

        Raises `StoreUnavailable` if it may not. `ConfigurationError` says the statement that repairs the
        table.
        """
        async with self._deadline():
            await self._table.check()
            await self._table.try_writing()

    async def aclose(self) -> None:
        await self._loops.aclose()

    # Batches and connections

    async def _load_together(self, keys: list[str]) -> list[Stored | None]:
        """Return what `load` returns for each of the keys, in one round trip."""
        found = await self._table.load(keys, self._now())
        return [found.get(key) for key in keys]

    async def _replace_together(self, replacements: list[Replacement]) -> list[bool | None]:
        return await replace_together(self._table, replacements, self._now())

    async def _replace(self, new: Replacement) -> bool:
        """Replace with others, or alone if needed.

        A replacement is alone if it is large, or the statement for all has passed it over.
        """
        if len(new.data) <= _MAX_BATCHED_BYTES:
            answer = await self._loops.get().replaces.submit(new)
            if answer is not None:
                return answer
        return await self._table.change(statements.REPLACE, *new, self._now())

    def _connections(self) -> Connections:
        return self._loops.get().connections

    def _make_loop_state(self) -> LoopState:
        connections: Connections
        if isinstance(self._source, BorrowedPool):
            connections = self._source
        else:
            connections = OwnedPool(self._source, size=self._pool_size, timeout=self._timeout)
        loads = Batcher(self._load_together, max_size=_MAX_BATCH, timeout=self._timeout)
        replaces = Batcher(self._replace_together, max_size=_MAX_BATCH, timeout=self._timeout * _ATTEMPT)
        return LoopState(connections, loads, replaces, DetachedTasks(), self._timeout)

    # Time

    def _now(self) -> int:
        return int(self._clock())

    def _attempt(self) -> asyncio.Timeout:
        """Return a timeout of most of the budget.

        In the rest a write whose answer got lost can still be looked for.
        """
        return asyncio.timeout(self._timeout * _ATTEMPT)

    def _deadline(self) -> AbstractAsyncContextManager[None]:
        return deadline(self._address, self._timeout)

    def _timeout_error(self) -> StoreError:
        return timeout_error(self._address, self._timeout)

    @property
    def _detached(self) -> DetachedTasks:
        return self._loops.get().detached


def _is_version(version: Hashable) -> TypeGuard[int]:
    """Return whether this can be a version: a value of a bigint."""
    return type(version) is int and version.bit_length() < 64
