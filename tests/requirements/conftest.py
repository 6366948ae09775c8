"""Each requirement runs on every store, on every event loop that the store supports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pymongo import MongoClient
from redis.asyncio import Redis

from starlette_sessions_ext import (
    DatabaseStore,
    MemoryStore,
    MongoStore,
    RedisStore,
    SessionStore,
    SQLiteStore,
    store_from_url,
)
from starlette_sessions_ext.testing import FakeClock

from ..mariadb_server import MariaDBServer
from ..mongo_server import MongoServer
from ..redis_server import RedisServer
from ..stores.instruments import CountingStore


class Setting(NamedTuple):
    store: str
    backend: tuple[str, dict[str, Any]]


ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})
TRIO = ("trio", dict[str, Any]())

SETTINGS = {
    "memory-asyncio": Setting("memory", ASYNCIO),
    "memory-trio": Setting("memory", TRIO),
    "sqlite-asyncio": Setting("sqlite", ASYNCIO),
    "sqlite-trio": Setting("sqlite", TRIO),
    "redis-asyncio": Setting("redis", ASYNCIO),
    "redis-uvloop": Setting("redis", UVLOOP),
    "mysql-asyncio": Setting("mysql", ASYNCIO),
    "mysql-uvloop": Setting("mysql", UVLOOP),
    "mongo-asyncio": Setting("mongo", ASYNCIO),
    "mongo-uvloop": Setting("mongo", UVLOOP),
    "handlersocket-asyncio": Setting("handlersocket", ASYNCIO),
    "handlersocket-uvloop": Setting("handlersocket", UVLOOP),
}


@pytest.fixture(scope="module", params=SETTINGS.values(), ids=list(SETTINGS))
def setting(request: pytest.FixtureRequest) -> Setting:
    value: Setting = request.param
    return value


@pytest.fixture(scope="module")
def anyio_backend(setting: Setting) -> tuple[str, dict[str, Any]]:
    return setting.backend


@pytest.fixture
def redis(setting: Setting, request: pytest.FixtureRequest) -> RedisServer | None:
    """The running server where the store needs one."""
    return request.getfixturevalue("redis_server") if setting.store == "redis" else None


@pytest.fixture
def mysql(setting: Setting, request: pytest.FixtureRequest) -> MariaDBServer | None:
    """The running server where the store needs one."""
    return request.getfixturevalue("mariadb") if setting.store in ("mysql", "handlersocket") else None


@pytest.fixture
def mongo(setting: Setting, request: pytest.FixtureRequest) -> MongoServer | None:
    """The running server where the store needs one."""
    return request.getfixturevalue("mongo_server") if setting.store == "mongo" else None


@pytest.fixture
async def store(
    setting: Setting,
    clock: FakeClock,
    tmp_path: Path,
    redis: RedisServer | None,
    mysql: MariaDBServer | None,
    mongo: MongoServer | None,
) -> AsyncIterator[CountingStore]:
    """An empty, open store of the setting's kind, which counts the calls that reach it."""
    inner: SessionStore
    if redis is not None:
        async with Redis.from_url(redis.url) as client:
            await client.flushall()
        inner = RedisStore(redis.url, clock=clock)
    elif mysql is not None and setting.store == "handlersocket":
        mysql.run("DELETE FROM php_session", "fresh")
        inner = store_from_url(mysql.handlersocket_url("fresh"), clock=clock)
    elif mysql is not None:
        mysql.run("DELETE FROM session_data", "fresh")
        inner = DatabaseStore(mysql.url("fresh"), clock=clock)
    elif mongo is not None:
        with MongoClient[Any](mongo.url) as client:
            client["session"].drop_collection("session_data")
        inner = MongoStore(mongo.url, clock=clock)
    elif setting.store == "sqlite":
        inner = SQLiteStore(tmp_path / "sessions.db", clock=clock)
    else:
        inner = MemoryStore(clock=clock)
    async with CountingStore(inner) as store:
        yield store


@pytest.fixture
def advance(clock: FakeClock, redis: RedisServer | None) -> Callable[[float], Awaitable[None]]:
    """Let seconds pass, for the package and for the server."""

    async def advance(seconds: float) -> None:
        clock.advance(seconds)
        if redis is not None:
            async with Redis.from_url(redis.url) as client:
                async for key in client.scan_iter():
                    await client.pexpire(key, await client.pttl(key) - int(seconds * 1000))

    return advance


@pytest.fixture
def dump(
    store: CountingStore,
    redis: RedisServer | None,
    mysql: MariaDBServer | None,
    mongo: MongoServer | None,
    tmp_path: Path,
) -> Callable[[], Awaitable[bytes]]:
    """Everything that the backend holds, keys and values, as bytes to search in."""

    async def dump() -> bytes:
        if redis is not None:
            async with Redis.from_url(redis.url) as client:
                return b"\n".join([key + b"=" + await client.get(key) async for key in client.scan_iter()])
        if mysql is not None:
            return mysql.run("SELECT * FROM session_data; SELECT * FROM php_session", "fresh").encode()
        if mongo is not None:
            with MongoClient[Any](mongo.url) as client:
                return repr(list(client["session"]["session_data"].find())).encode()
        if isinstance(store.store, MemoryStore):
            return repr(store.store._rows).encode()
        return b"\n".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))

    return dump
