"""Each requirement runs on every store, on every event loop that the store supports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import (
    DatabaseStore,
    MemoryStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    SessionStore,
    SQLiteStore,
    store_from_url,
)
from starlette_sessions_ext.testing import FakeClock

from ..support.fixtures import HandlerSocketURLs
from ..support.mariadb_server import empty, run_sql
from ..support.mongo_server import mongo_client
from ..support.patient_stores import patient_stores as patient_stores
from ..support.postgresql_server import empty as empty_postgresql
from ..support.postgresql_server import run_sql as run_postgresql
from ..support.redis_server import let_pass
from ..support.store_wrappers import CountingStore


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
    "postgresql-asyncio": Setting("postgresql", ASYNCIO),
    "postgresql-uvloop": Setting("postgresql", UVLOOP),
    "mongo-asyncio": Setting("mongo", ASYNCIO),
    "mongo-uvloop": Setting("mongo", UVLOOP),
    "handlersocket-asyncio": Setting("handlersocket", ASYNCIO),
    "handlersocket-uvloop": Setting("handlersocket", UVLOOP),
}


DEFAULT = {"memory-asyncio", "memory-trio", "sqlite-asyncio", *(name for name in SETTINGS if "uvloop" in name)}
"""Each store on one event loop, those of servers on the one that their contracts leave to scripts/test --full."""

PARAMS = [
    pytest.param(setting, id=name, marks=[] if name in DEFAULT else [pytest.mark.exhaustive])
    for name, setting in SETTINGS.items()
]


memory_only = pytest.mark.parametrize("setting", [SETTINGS["memory-asyncio"]], indirect=True, ids=["any-store"])
"""For what no store and no event loop has a part in."""


@pytest.fixture(scope="module", params=PARAMS)
def setting(request: pytest.FixtureRequest) -> Setting:
    value: Setting = request.param
    return value


@pytest.fixture(scope="module")
def anyio_backend(setting: Setting) -> tuple[str, dict[str, Any]]:
    return setting.backend


@pytest.fixture
def redis(setting: Setting, request: pytest.FixtureRequest) -> str | None:
    """The URL of the server where the store needs one."""
    return request.getfixturevalue("redis_url") if setting.store == "redis" else None


@pytest.fixture
def mysql(setting: Setting, request: pytest.FixtureRequest) -> str | None:
    """The URL of the server where the store needs one."""
    return request.getfixturevalue("mysql_url") if setting.store == "mysql" else None


@pytest.fixture
def postgresql(setting: Setting, request: pytest.FixtureRequest) -> str | None:
    """The URL of the server where the store needs one."""
    return request.getfixturevalue("postgresql_url") if setting.store == "postgresql" else None


@pytest.fixture
def handlersocket(setting: Setting, request: pytest.FixtureRequest) -> HandlerSocketURLs | None:
    """The URLs of the server where the store needs one."""
    return request.getfixturevalue("handlersocket_urls") if setting.store == "handlersocket" else None


@pytest.fixture
def mongo(setting: Setting, request: pytest.FixtureRequest) -> str | None:
    """The URL of the server where the store needs one."""
    return request.getfixturevalue("mongo_url") if setting.store == "mongo" else None


@pytest.fixture
async def store(
    setting: Setting,
    clock: FakeClock,
    tmp_path: Path,
    redis: str | None,
    mysql: str | None,
    postgresql: str | None,
    handlersocket: HandlerSocketURLs | None,
    mongo: str | None,
) -> AsyncIterator[CountingStore]:
    """An empty, open store of the setting's kind, which counts the calls that reach it."""
    inner: SessionStore
    if redis is not None:
        async with Redis.from_url(redis) as client:
            await client.flushdb()
        inner = RedisStore(redis, clock=clock)
    elif handlersocket is not None:
        empty(handlersocket.mysql, "php_session")
        inner = store_from_url(handlersocket.store, clock=clock)
    elif mysql is not None:
        empty(mysql, "session_data")
        inner = DatabaseStore(mysql, clock=clock)
    elif postgresql is not None:
        empty_postgresql(postgresql)
        inner = PostgreSQLStore(postgresql, clock=clock)
    elif mongo is not None:
        mongo_client(mongo).get_default_database()["session_data"].delete_many({})
        inner = MongoStore(mongo, clock=clock)
    elif setting.store == "sqlite":
        inner = SQLiteStore(tmp_path / "sessions.db", clock=clock)
    else:
        inner = MemoryStore(clock=clock)
    async with CountingStore(inner) as store:
        yield store


@pytest.fixture
def advance(clock: FakeClock, redis: str | None) -> Callable[[float], Awaitable[None]]:
    """Let seconds pass, for the package and for the server."""

    async def advance(seconds: float) -> None:
        clock.advance(seconds)
        if redis is not None:
            async with Redis.from_url(redis) as client:
                await let_pass(client, seconds)

    return advance


@pytest.fixture
def dump(
    store: CountingStore,
    redis: str | None,
    mysql: str | None,
    postgresql: str | None,
    handlersocket: HandlerSocketURLs | None,
    mongo: str | None,
    tmp_path: Path,
) -> Callable[[], Awaitable[bytes]]:
    """Everything that the backend holds, keys and values, as bytes to search in."""

    async def dump() -> bytes:
        if redis is not None:
            async with Redis.from_url(redis) as client:
                return b"\n".join([key + b"=" + await client.get(key) async for key in client.scan_iter()])
        if mysql is not None:
            return run_sql(mysql, "SELECT * FROM session_data").encode()
        if postgresql is not None:
            values = "key, version, expires_at, owner, encode(data, 'escape')"
            return run_postgresql(postgresql, f"SELECT {values} FROM sessions").encode()
        if handlersocket is not None:
            return run_sql(handlersocket.mysql, "SELECT * FROM php_session").encode()
        if mongo is not None:
            return repr(list(mongo_client(mongo).get_default_database()["session_data"].find())).encode()
        if isinstance(store.store, MemoryStore):
            return repr(store.store._rows).encode()
        return b"\n".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))

    return dump
