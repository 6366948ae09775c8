from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster, Sentinel

from starlette_sessions_ext import (
    ConfigurationError,
    RedisStore,
    SessionStore,
    Stored,
    StoreFull,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.diagnosis import findings
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract, StoreContract

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_programs import redis_server as redis_server
from ...support.redis_programs import redis_url as redis_url
from ...support.redis_server import RedisServer, RunningClock, let_pass, running_sentinel
from ...support.servers import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sentinel(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_sentinel(tmp_path_factory.mktemp("sentinel"), redis_program) as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return RunningClock()


class OnRedisTime:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return RunningClock()


class RedisContract(OnRedisTime, StoreContract):
    @pytest.fixture
    async def client(self) -> Any:
        """A client of the tests' own."""
        raise NotImplementedError

    @pytest.fixture
    async def store(self, client: Any, clock: FakeClock) -> AsyncIterator[RedisStore]:
        await client.flushdb()
        async with RedisStore(client, clock=clock) as store:
            yield store

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        assert isinstance(store, RedisStore)
        clock.advance(seconds)
        await let_pass(store._clients.here().client, seconds)


class TestGivenClient(RedisContract):
    @pytest.fixture
    async def client(self, redis_url: str) -> AsyncIterator[Redis]:
        async with Redis.from_url(redis_url) as client:
            yield client


class TestCluster(RedisContract):
    @pytest.fixture
    async def client(self, cluster: tuple[RedisServer, ...]) -> AsyncIterator[RedisCluster]:
        async with RedisCluster("127.0.0.1", cluster[0].port) as client:
            yield client


class TestSentinelsMaster(RedisContract):
    @pytest.fixture
    async def client(self, sentinel: RedisServer) -> AsyncIterator[Redis]:
        watch = Sentinel([("127.0.0.1", sentinel.port)])  # type: ignore[no-untyped-call]
        async with watch.master_for("main") as client:
            yield client
        for sentinel_client in watch.sentinels:
            await sentinel_client.aclose()


class TestURL(OnRedisTime, NetworkStoreContract):
    @pytest.fixture
    async def store(self, redis_url: str, clock: FakeClock) -> AsyncIterator[RedisStore]:
        async with Redis.from_url(redis_url) as control, RedisStore(redis_url, clock=clock) as store:
            await control.flushdb()
            yield store

    @pytest.fixture
    async def proxy(self, redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(self, proxy: FaultProxy, clock: FakeClock) -> AsyncIterator[RedisStore]:
        async with RedisStore(f"redis://127.0.0.1:{proxy.port}", timeout=self.timeout, clock=clock) as store:
            yield store

    advance = RedisContract.advance


async def test_a_given_client_is_never_closed(redis_server: RedisServer, key: str) -> None:
    async with Redis.from_url(redis_server.url) as client:
        async with RedisStore(client) as store:
            await store.load(key)
        connections = client.connection_pool._available_connections
        assert [connection.is_connected for connection in connections] == [True]


async def test_decoded_responses_are_refused(redis_server: RedisServer) -> None:
    async with Redis.from_url(redis_server.url, decode_responses=True) as client:
        with pytest.raises(ConfigurationError, match="decode_responses"):
            RedisStore(client)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://host:port", "redis://host?foo=1"])
async def test_a_bad_url_is_explained(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://USER:PASSWORD@host:6379/0"):
        RedisStore(url)


async def test_nobody_there_is_told_at_open(key: str) -> None:
    store = RedisStore(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable, match="refuses connections: start the server"):
        await store.open()
    await store.aclose()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:canary@127.0.0.1:1", "Redis at 127.0.0.1:1 "),
        ("redis://canary:canary@127.0.0.2", "Redis at 127.0.0.2:6379 "),
        ("unix://:canary@/nowhere/redis.sock", "Redis at /nowhere/redis.sock "),
    ],
)
async def test_messages_name_the_server_and_no_password(url: str, place: str, key: str) -> None:
    store = RedisStore(url)
    with pytest.raises(StoreUnavailable, match=place) as error:
        await store.load(key)
    assert "canary" not in str(error.value)
    await store.aclose()


async def test_a_cluster_is_called_redis(key: str) -> None:
    client = RedisCluster(host="127.0.0.1", port=1)
    with pytest.raises(StoreUnavailable, match=r"^Redis refuses connections"):
        await RedisStore(client).load(key)
    await client.aclose()


async def test_flushed_scripts_are_sent_again(redis_server: RedisServer, key: str, soon: int, clock: FakeClock) -> None:
    async with Redis.from_url(redis_server.url) as control, RedisStore(redis_server.url, clock=clock) as store:
        await store.create(key, b"one", soon)
        for data in (b"two", b"three"):
            await control.script_flush()
            row = await store.load(key)
            assert row is not None
            await control.script_flush()
            assert await store.replace(key, data, soon, row.version)
        row = await store.load(key)
        assert row is not None
        await control.script_flush()
        assert await store.delete(key, row.version)


async def test_a_full_server_refuses_and_keeps_what_it_has(
    redis_server: RedisServer, key: str, soon: int, clock: FakeClock
) -> None:
    async with Redis.from_url(redis_server.url) as control, RedisStore(redis_server.url, clock=clock) as store:
        await store.create(key, b"one", soon)
        row = await store.load(key)
        assert row is not None
        await control.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreFull, match=r"is full: .*maxmemory"):
                await store.replace(key, b"two", soon, row.version)
            with pytest.raises(StoreFull):
                await store.create(key_of(new_id()), b"new", soon)
        finally:
            await control.config_set("maxmemory", 0)
        assert await store.load(key) == row


async def test_a_key_without_a_ttl_is_no_session(redis_server: RedisServer, key: str) -> None:
    async with Redis.from_url(redis_server.url) as control, RedisStore(redis_server.url) as store:
        await control.set(f"session:{key}", b"forever")
        assert await store.load(key) is None


async def test_what_a_retrying_client_sent_twice_was_written_once(
    redis_server: RedisServer, key: str, soon: int, clock: FakeClock
) -> None:
    """redis-py sends a command again after a lost answer; a client that was given may do so."""
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        async with Redis(port=proxy.port, socket_timeout=1) as client:
            store = RedisStore(client, timeout=20, clock=clock)
            await store.load(key)
            proxy.drop_reply()
            assert await store.create(key, b"one", soon)
            row = await store.load(key)
            assert row is not None
            proxy.drop_reply()
            assert await store.replace(key, b"two", soon, row.version)
            after = await store.load(key)
            assert after == Stored(b"two", b"two", soon)


def test_a_pool_without_connections_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="pool_size"):
        RedisStore("redis://localhost", pool_size=0)


@pytest.mark.parametrize("prefix", ["", "app:sessions:", "x" * 64])
async def test_the_prefix_stands_before_the_key(
    redis_server: RedisServer, key: str, soon: int, clock: FakeClock, prefix: str
) -> None:
    async with Redis.from_url(redis_server.url) as control:
        async with RedisStore(redis_server.url, prefix=prefix, clock=clock) as store:
            await store.create(key, b"data", soon)
        assert await control.get(prefix + key) == b"data"


async def test_a_frozen_server_ends_in_a_timeout(redis_server: RedisServer, key: str) -> None:
    async with RedisStore(redis_server.url, timeout=1) as store:
        with redis_server.frozen(), pytest.raises(StoreTimeout):
            await store.load(key)
        assert await store.load(key) is None


@pytest.mark.slow
async def test_a_connection_that_is_closed_under_a_command_is_unavailable(cluster: tuple[RedisServer, ...]) -> None:
    """As redis-py closes those of a whole Cluster where one command found a node gone."""
    outcomes: list[bool | BaseException] = []
    async with RedisCluster("127.0.0.1", cluster[0].port) as client, RedisStore(client, timeout=2) as store:
        await store.open()
        for turns in range(25):
            calls = [asyncio.ensure_future(store.touch(key_of(new_id()), 0)) for _ in range(8)]
            for _ in range(turns):
                await asyncio.sleep(0)
            connections = [connection for node in client.get_nodes() for connection in node._connections]
            closing = [asyncio.ensure_future(connection.disconnect(nowait=True)) for connection in connections]
            outcomes += await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.gather(*closing)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert errors
    assert all(isinstance(error, StoreUnavailable) for error in errors), errors


async def test_only_sessions_are_among_the_keys(redis_server: RedisServer, soon: int, clock: FakeClock) -> None:
    async with Redis.from_url(redis_server.url) as control:
        await control.flushall()
        async with RedisStore(redis_server.url, prefix="[a*]:", clock=clock) as store:
            keys = {key_of(new_id()) for _ in range(20)}
            for key in keys:
                await store.create(key, b"data", soon)
            await control.set("[a*]:counter", 1)
            await control.set(f"a:{key_of(new_id())}", b"what the prefix would match as a pattern")
            assert {key async for key in store.all_keys()} == keys


async def test_a_doctor_looks_at_every_node(cluster: tuple[RedisServer, ...]) -> None:
    async with RedisCluster("127.0.0.1", cluster[0].port) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
        findings = await RedisStore(client).diagnose()
        await client.config_set("maxmemory-policy", "noeviction")
    assert [finding.remedy.split(",")[0] for finding in findings] == [
        "CONFIG SET maxmemory-policy noeviction",
        "CONFIG SET appendonly yes",
    ]


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        ({"redis_version": "5.0.14", "aof_enabled": 1}, "Redis 5.0.14 is too old"),
        ({"redis_version": "7.0.15", "aof_enabled": 1, "maxmemory_policy": "noeviction"}, None),
    ],
)
async def test_what_info_tells(info: dict[str, Any], problem: str | None) -> None:
    assert next((finding.problem for finding in findings(info)), None) == problem
