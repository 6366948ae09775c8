from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import RedisStore, SessionStore
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract

from ..servers import RedisServer

ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module", params=[ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class TestRedisStore(NetworkStoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, redis_server: RedisServer) -> AsyncIterator[RedisStore]:
        self.url = redis_server.url
        async with Redis.from_url(self.url) as client:
            await client.flushall()
        async with RedisStore(self.url, clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(self, proxy: FaultProxy, clock: FakeClock) -> AsyncIterator[RedisStore]:
        async with RedisStore(f"redis://127.0.0.1:{proxy.port}", timeout=self.timeout, clock=clock) as store:
            yield store

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        """Redis keeps time itself, so its deadlines are moved nearer instead."""
        clock.advance(seconds)
        async with Redis.from_url(self.url) as client:
            async for key in client.scan_iter("session:*"):
                await client.pexpire(key, await client.pttl(key) - int(seconds * 1000))
