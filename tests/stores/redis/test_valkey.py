"""Valkey, by URLs of its own. The modules `test_redis_*` run on it as well, marked `exhaustive`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import ConfigurationError, RedisStore, StoreUnavailable, store_from_url
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.redis_server import VALKEY, RedisServer, running_redis
from .test_store import OnRedisTime, RedisContract

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("valkey"), VALKEY) as server:
        yield server


class TestURL(OnRedisTime, NetworkStoreContract):
    @pytest.fixture
    async def store(self, valkey: RedisServer, clock: FakeClock) -> AsyncIterator[RedisStore]:
        async with Redis.from_url(valkey.url) as control:
            await control.flushdb()
            assert (await control.info("server"))["server_name"] == "valkey"
        async with RedisStore(f"valkey://127.0.0.1:{valkey.port}/0", clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, valkey: RedisServer) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", valkey.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(self, proxy: FaultProxy, clock: FakeClock) -> AsyncIterator[RedisStore]:
        async with RedisStore(f"valkey://127.0.0.1:{proxy.port}", timeout=self.timeout, clock=clock) as store:
            yield store

    advance = RedisContract.advance


async def test_a_url_names_a_database_and_a_password(valkey: RedisServer, soon: int) -> None:
    key = key_of(new_id())
    async with Redis.from_url(valkey.url.replace("/0", "/3")) as control:
        await control.execute_command("ACL", "SETUSER", "app", "on", ">p%", "~*", "+@all")  # type: ignore[no-untyped-call]
        async with store_from_url(f"VALKEY://app:p%25@127.0.0.1:{valkey.port}/3") as store:
            await store.create(key, b"data", soon)
        assert await control.get(f"session:{key}") == b"data"


async def test_valkeys_is_tls(valkey: RedisServer) -> None:
    store: Any = store_from_url(f"valkeys://127.0.0.1:{valkey.port}", timeout=0.2)
    with pytest.raises(StoreUnavailable, match="TLS"):
        await store.open()
    await store.aclose()


@pytest.mark.parametrize("url", ["valkey://host:port", "valkey://host/x", "valkeyss://host", "valkey:host"])
def test_a_bad_url_is_explained(url: str) -> None:
    with pytest.raises(ConfigurationError, match="valkey:// is the same as redis://"):
        RedisStore(url)
