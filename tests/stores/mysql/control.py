"""What the tests ask MySQL by a connection of their own, and wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncmy

from starlette_sessions_ext import SessionStore, Stored

from ...support.mariadb_server import PASSWORD, USER, MariaDBServer


async def connect(server: MariaDBServer, database: str = "fresh", **settings: Any) -> Any:
    """A connection of the tests' own."""
    address = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD.encode()}
    return await asyncmy.connect(**{**address, "database": database, "autocommit": True, **settings})


async def query(connection: Any, statement: str, *values: object) -> list[Any]:
    cursor = connection.cursor()
    await cursor.execute(statement, values)
    return list(await cursor.fetchall())


def pool(server: MariaDBServer, **settings: Any) -> Any:
    address = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD.encode()}
    return asyncmy.create_pool(**{**address, "database": "fresh", **settings})


async def load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


async def status(connection: Any, name: str) -> int:
    """A counter of the server's."""
    [(_, value)] = await query(connection, "SHOW GLOBAL STATUS LIKE %s", name)
    return int(value)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(60):
        while not await condition():
            await anyio.sleep(0.01)


@asynccontextmanager
async def locked(connection: Any, key: str) -> AsyncIterator[None]:
    """Another program's transaction that holds the row."""
    await query(connection, "BEGIN")
    await query(connection, "SELECT 1 FROM session_data WHERE session_id = %s FOR UPDATE", key)
    yield
    await query(connection, "ROLLBACK")


async def waiting(connection: Any, count: int) -> bool:
    """Whether that many transactions wait for a lock."""
    await anyio.sleep(0.12)  # who looks more often than every tenth of a second is shown what they saw before
    [(found,)] = await query(
        connection, "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    )
    return bool(found == count)


async def more(connection: Any, name: str, count: int) -> bool:
    return await status(connection, name) > count
