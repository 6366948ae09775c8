"""Connections to MySQL and MariaDB from an asyncmy pool of the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from asyncmy import Connection, Pool

from ...errors import ConfigurationError, StoreUnavailable
from .connections import discard
from .errors import is_statement_error


class BorrowedPool:
    """An asyncmy pool of the application, with its own settings. It is never closed."""

    address = "MySQL"
    counts_found_rows = False

    def __init__(self, pool: Any) -> None:
        if isinstance(pool, Awaitable):
            raise ConfigurationError("DatabaseStore was given a pool that isn't made yet: await create_pool(...) first")
        if not isinstance(pool, Pool):
            kind = f"{type(pool).__module__}.{type(pool).__qualname__}"
            raise ConfigurationError(
                f"DatabaseStore takes a mysql:// URL or a pool of asyncmy.create_pool, not a {kind}"
            )
        self._pool: Any = pool

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        if self._pool._loop is not asyncio.get_running_loop():
            raise StoreUnavailable(
                "the pool that DatabaseStore was given belongs to another event loop: make it in the application's"
                " lifespan, and use TestClient in `with`; or give DatabaseStore a URL"
            )
        try:
            connection = await self._pool.acquire()
        except RuntimeError as error:
            raise StoreUnavailable("the pool that DatabaseStore was given is closed") from error
        try:
            yield connection
            if not connection.get_autocommit():  # asyncmy's default
                await connection.commit()
        except BaseException as error:
            if not is_statement_error(error) or not connection.get_autocommit():
                discard(connection)
            raise
        finally:
            self._pool.release(connection)

    def forget_idle(self) -> None:
        """Leave idle connections to the pool, which `pool_recycle` limits."""

    async def aclose(self) -> None:
        """Leave it as it is."""

    def abandon(self) -> None:
        """Leave it as it is."""
