"""Connections to PostgreSQL out of an asyncpg pool that the application made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asyncpg import Pool

from ...errors import ConfigurationError, StoreUnavailable
from .connections import Lender


class BorrowedPool:
    """An asyncpg pool of the application, with its own settings. It is never closed."""

    address = "PostgreSQL"

    def __init__(self, pool: Any, timeout: float) -> None:
        if not isinstance(pool, Pool):
            kind = f"{type(pool).__module__}.{type(pool).__qualname__}"
            raise ConfigurationError(
                f"PostgreSQLStore takes a postgresql:// URL or a pool of asyncpg.create_pool, not a {kind}"
            )
        self._pool: Any = pool
        self._lender = Lender(pool, timeout)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        if self._pool._loop is not asyncio.get_running_loop():
            raise StoreUnavailable(
                "the pool that PostgreSQLStore was given belongs to another event loop: make it in the application's"
                " lifespan, and use TestClient in `with`; or give PostgreSQLStore a URL"
            )
        if self._pool.is_closing():
            raise StoreUnavailable("the pool that PostgreSQLStore was given is closed")
        if not self._pool._initialized:
            raise StoreUnavailable(
                "the pool that PostgreSQLStore was given isn't ready: `await create_pool(...)`, or use `async with`"
            )
        async with self._lender.acquire() as connection:
            yield connection

    async def forget_idle(self) -> None:
        """Leave its connections, which the application's own queries use as well."""

    async def aclose(self) -> None:
        """Leave it as it is."""
        await self._lender.wait_closed()

    def abandon(self) -> None:
        """Leave it as it is."""
