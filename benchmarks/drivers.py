"""The drivers by themselves, doing what the stores do: the same commands, a call each, as many connections.

What a store adds is measured against these. They use rows that a store has made, and neither
check what they are given nor care about deadlines.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread
import asyncmy
import asyncpg
from bson.datetime_ms import DatetimeMS
from pymongo import AsyncMongoClient, WriteConcern
from redis.asyncio import BlockingConnectionPool, Redis

from starlette_sessions_ext.handlersocket import Client, Where
from starlette_sessions_ext.stores.handlersocket import columns
from starlette_sessions_ext.stores.mysql import statements
from starlette_sessions_ext.stores.mysql.url import settings_of
from starlette_sessions_ext.stores.postgresql import statements as postgresql_statements
from starlette_sessions_ext.stores.postgresql.url import settings_of as postgresql_settings_of
from starlette_sessions_ext.stores.redis import scripts
from starlette_sessions_ext.stores.sqlite import statements as sqlite_statements
from tests.support.mariadb_server import MariaDBServer

WEEKS = 14 * 24 * 60 * 60  # what DatabaseStore takes for a row's lifetime, in seconds
HOUR = 60 * 60  # and HandlerSocketStore


class Subject(Protocol):
    """The subject of a measurement: a store, or a driver that reads and replaces the same rows."""

    async def load(self, key: str) -> Any: ...

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> Any: ...


class _Redis:
    def __init__(self, client: Any) -> None:  # redis-py leaves execute_command without types
        self._client = client

    async def load(self, key: str) -> Any:
        return (await self._client.execute_command("EVALSHA", scripts.LOAD.digest, 1, f"session:{key}"))[0]

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> Any:
        assert isinstance(version, bytes)
        digest = hashlib.sha1(version, usedforsecurity=False).hexdigest()
        arguments = (f"session:{key}", digest, data, int((expires_at - time.time()) * 1000))
        return (await self._client.execute_command("EVALSHA", scripts.REPLACE.digest, 1, *arguments))[0]


@asynccontextmanager
async def redis_py(url: str) -> AsyncIterator[Subject]:
    client = Redis.from_pool(BlockingConnectionPool.from_url(url, max_connections=50, timeout=None))
    for script in (scripts.LOAD, scripts.REPLACE):
        await client.script_load(script.source)
    yield _Redis(client)
    await client.aclose()


class _Asyncmy:
    def __init__(self, pool: asyncmy.Pool) -> None:
        names = ("session_id", "data", "created_at", "modified_at", "version")
        quoted = {name: f"`{name}`" for name in names} | {"table": "session_data", "more": ""}
        self._pool = pool
        self._load, self._replace = (text.format(**quoted) for text in (statements.LOAD, statements.REPLACE))

    async def load(self, key: str) -> Any:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(self._load, (key, int(time.time()) - WEEKS))
            return await cursor.fetchone()

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> Any:
        values = (data.decode(), expires_at - WEEKS, key, version, int(time.time()) - WEEKS)
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            return await cursor.execute(self._replace, values)


@asynccontextmanager
async def asyncmy_pool(url: str) -> AsyncIterator[Subject]:
    pool = await asyncmy.create_pool(minsize=10, maxsize=10, autocommit=True, **settings_of(url))
    yield _Asyncmy(pool)
    pool.close()
    await pool.wait_closed()


class _Asyncpg:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._load = "SELECT data, version, expires_at FROM sessions WHERE key = $1 AND expires_at > $2"
        self._replace = postgresql_statements.REPLACE.format(table="sessions", patience="true")

    async def load(self, key: str) -> Any:
        return await self._pool.fetchrow(self._load, key, int(time.time()))

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> Any:
        return await self._pool.execute(self._replace, key, version, data, expires_at, None, int(time.time()))


@asynccontextmanager
async def asyncpg_pool(url: str) -> AsyncIterator[Subject]:
    async with asyncpg.create_pool(**postgresql_settings_of(url), min_size=10, max_size=10) as pool:
        yield _Asyncpg(pool)


class _Pymongo:
    def __init__(self, client: AsyncMongoClient[Any]) -> None:
        rows = client.get_default_database()["session_data"]
        self._rows = rows.with_options(write_concern=WriteConcern(w="majority", j=True))

    async def load(self, key: str) -> Any:
        living = {"_id": key, "expires_at": {"$gt": DatetimeMS(int(time.time() * 1000))}}
        return await self._rows.find_one(living, {"data": 1, "version": 1, "expires_at": 1})

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> Any:
        now = DatetimeMS(int(time.time() * 1000))
        unchanged = {"_id": key, "expires_at": {"$gt": now}, "version": version}
        content = {"data": data, "expires_at": DatetimeMS(expires_at * 1000), "modified": now}
        return (await self._rows.update_one(unchanged, {"$set": content, "$inc": {"version": 1}})).matched_count


@asynccontextmanager
async def pymongo(url: str) -> AsyncIterator[Subject]:
    async with AsyncMongoClient[Any](url) as client:
        yield _Pymongo(client)


class _SQLite:
    """As aiosqlite does it: one thread for the connection, to which every call goes separately."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA synchronous = FULL")
        self._thread = anyio.CapacityLimiter(1)

    async def load(self, key: str) -> Any:
        def select() -> Any:
            return self.connection.execute(sqlite_statements.LOAD, (key, time.time())).fetchone()

        return await anyio.to_thread.run_sync(select, limiter=self._thread)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> Any:
        values = (data, expires_at, None, key, version, time.time())
        update = partial(self.connection.execute, sqlite_statements.REPLACE, values)
        return (await anyio.to_thread.run_sync(update, limiter=self._thread)).rowcount


@asynccontextmanager
async def sqlite_thread(path: Path) -> AsyncIterator[Subject]:
    driver = _SQLite(path)
    yield driver
    driver.connection.close()


class _HandlerSocket:
    """One request at a time on each connection, as a client without a pipeline would."""

    def __init__(self) -> None:
        self.reading: asyncio.Queue[Client] = asyncio.Queue()
        self.writing: asyncio.Queue[Client] = asyncio.Queue()
        self.indexes = columns.indexes_of("fresh", "php_session")

    async def load(self, key: str) -> Any:
        client = await self.reading.get()
        found = await client.find(self.indexes.rows, Where("=", (key,)))
        self.reading.put_nowait(client)
        return found

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> Any:
        assert isinstance(version, int)
        where = columns.living(key, columns.to_time(int(time.time()) - HOUR), version)
        modified = columns.to_time(expires_at - HOUR)
        values = (key, modified, data.decode(), columns.version_after(version))
        client = await self.writing.get()
        before = await client.fetch_and_update(self.indexes.rows, where, values)
        self.writing.put_nowait(client)
        return before


@asynccontextmanager
async def handlersocket_client(server: MariaDBServer) -> AsyncIterator[Subject]:
    driver = _HandlerSocket()
    rows = driver.indexes.rows
    for _ in range(2):
        for queue, port, secret in (
            (driver.reading, server.hs_port, server.hs_secret),
            (driver.writing, server.hs_port_wr, server.hs_secret_wr),
        ):
            client = await Client.connect("127.0.0.1", port, secret=secret, indexes=[rows], timeout=30)
            queue.put_nowait(client)
    yield driver
    for queue in (driver.reading, driver.writing):
        while not queue.empty():
            await queue.get_nowait().aclose()
