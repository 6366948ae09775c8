"""The store contract for encrypted sessions, over each store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import (
    DatabaseStore,
    EncryptedStore,
    MemoryStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    SessionStore,
    SQLiteStore,
    store_from_url,
)
from starlette_sessions_ext.testing import FakeClock, StoreContract

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.fixtures import HandlerSocketURLs
from ...support.mariadb_server import empty
from ...support.mongo_server import mongo_client
from ...support.postgresql_server import empty as empty_postgresql
from ...support.redis_server import RunningClock, let_pass
from .keys import NEW, OLD

PATIENCE = 20.0
"""Seconds for one operation, so that a busy machine fails none."""


class EncryptedContract(StoreContract):
    accept_plain = False

    @pytest.fixture
    async def inner(self, clock: FakeClock) -> SessionStore:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    async def store(self, inner: SessionStore) -> AsyncIterator[EncryptedStore]:
        async with EncryptedStore(inner, keys=[NEW, OLD], accept_plain=self.accept_plain) as store:
            yield store


class TestMemory(EncryptedContract):
    @pytest.fixture(params=[None, 5000])
    async def inner(self, clock: FakeClock, request: pytest.FixtureRequest) -> SessionStore:
        return MemoryStore(clock=clock, max_data_bytes=request.param)


@pytest.mark.exhaustive
class TestMemoryWithPlainRows(TestMemory):
    accept_plain = True


class TestSQLite(EncryptedContract):
    @pytest.fixture
    async def inner(self, clock: FakeClock, tmp_path: Path) -> SessionStore:
        return SQLiteStore(tmp_path / "sessions.db", clock=clock)


@pytest.mark.exhaustive
class TestRedis(EncryptedContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return RunningClock()

    @pytest.fixture
    async def redis(self, redis_url: str) -> AsyncIterator[Redis]:
        async with Redis.from_url(redis_url) as client:
            await client.flushdb()
            yield client

    @pytest.fixture
    async def inner(self, clock: FakeClock, redis: Redis, redis_url: str) -> SessionStore:
        self.client = redis
        return RedisStore(redis_url, clock=clock, timeout=PATIENCE)

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        clock.advance(seconds)
        await let_pass(self.client, seconds)


@pytest.mark.exhaustive
class TestMySQL(EncryptedContract):
    @pytest.fixture
    async def inner(self, clock: FakeClock, mysql_url: str) -> SessionStore:
        empty(mysql_url, "session_data")
        return DatabaseStore(mysql_url, clock=clock, timeout=PATIENCE)


@pytest.mark.exhaustive
class TestPostgreSQL(EncryptedContract):
    @pytest.fixture
    async def inner(self, clock: FakeClock, postgresql_url: str) -> SessionStore:
        empty_postgresql(postgresql_url)
        return PostgreSQLStore(postgresql_url, clock=clock, timeout=PATIENCE)


@pytest.mark.exhaustive
class TestHandlerSocket(EncryptedContract):
    @pytest.fixture
    async def inner(self, clock: FakeClock, handlersocket_urls: HandlerSocketURLs) -> SessionStore:
        empty(handlersocket_urls.mysql, "php_session")
        return store_from_url(handlersocket_urls.store, clock=clock, timeout=PATIENCE)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # of a call that is cancelled while it connects
class TestMongo(EncryptedContract):
    @pytest.fixture
    async def inner(self, clock: FakeClock, mongo_url: str) -> SessionStore:
        mongo_client(mongo_url).get_default_database()["session_data"].delete_many({})
        return MongoStore(mongo_url, clock=clock, timeout=PATIENCE)
