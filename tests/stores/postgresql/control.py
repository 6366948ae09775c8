"""What the tests ask PostgreSQL by a connection of their own, and wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg

from starlette_sessions_ext import SessionStore, Stored

from ...support.postgresql_server import PASSWORD, USER, PostgreSQLServer


async def connect(server: PostgreSQLServer, database: str = "fresh") -> Any:
    """A connection of the tests' own."""
    return await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=USER, password=PASSWORD, database=database, ssl="disable"
    )


def pool(server: PostgreSQLServer, **settings: Any) -> Any:
    address = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD, "ssl": "disable"}
    return asyncpg.create_pool(**{**address, "database": "fresh", "min_size": 0, **settings})


async def load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(60):
        while not await condition():
            await anyio.sleep(0.01)


@asynccontextmanager
async def locked(connection: Any, key: str) -> AsyncIterator[None]:
    """Another transaction that holds the row."""
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM sessions WHERE key = $1 FOR UPDATE", key)
        yield


async def waiting(connection: Any, count: int) -> bool:
    """Whether that many transactions wait for a lock."""
    found = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return bool(found == count)
