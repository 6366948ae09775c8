"""`PHPRedisStore`: the contract, and what is particular to the rows of phpredis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from starlette_sessions_ext import ConfigurationError, CorruptRecord, SessionUnavailable, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php.redis import PHPRedisStore
from starlette_sessions_ext.stores.base import SessionStore, SupportsListing, SupportsSharding
from starlette_sessions_ext.testing import FakeClock, FaultProxy
from starlette_sessions_ext.testing.contract.races import RacesContract

from ..support.asyncio_only import anyio_backend
from ..support.redis_server import RedisServer, RunningClock, let_pass, running_cluster
from ..support.servers import free_port, running
from .contract import PHPIds

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

PREFIX = "PHPREDIS_SESSION:"


class PHPRedisContract(PHPIds, RacesContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return RunningClock()

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        assert isinstance(store, PHPRedisStore)
        clock.advance(seconds)
        for server in store._servers:
            await let_pass(server._clients.here().client, seconds)


class TestOneServer(PHPRedisContract):
    @pytest.fixture(params=[False, True], ids=["no locks", "locks"])
    async def store(
        self, redis_server: RedisServer, clock: FakeClock, request: pytest.FixtureRequest
    ) -> AsyncIterator[PHPRedisStore]:
        path = f"tcp://127.0.0.1:{redis_server.port}"
        async with Redis.from_url(redis_server.url) as control:
            await control.flushdb()
        async with PHPRedisStore(path, locking=request.param, clock=clock) as store:
            yield store


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, ...]]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.mark.exhaustive
class TestCluster(PHPRedisContract):
    @pytest.fixture
    async def store(self, cluster: tuple[RedisServer, ...], clock: FakeClock) -> AsyncIterator[PHPRedisStore]:
        async with RedisCluster("127.0.0.1", cluster[0].port) as client, PHPRedisStore(client, clock=clock) as store:
            await client.flushdb()
            yield store

    async def test_each_node_is_looked_at(self, store: PHPRedisStore) -> None:
        problems = [finding.problem for finding in await store.diagnose()]
        assert len(problems) == 3
        assert len(set(problems)) == 1


@pytest.fixture
def clock() -> FakeClock:
    return RunningClock()


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[Any]:
    async with Redis.from_url(redis_server.url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def store(client: Any, redis_server: RedisServer, clock: FakeClock) -> AsyncIterator[PHPRedisStore]:
    async with PHPRedisStore(f"tcp://127.0.0.1:{redis_server.port}", clock=clock) as store:
        yield store


async def test_a_row_is_what_phpredis_would_write(store: PHPRedisStore, client: Any, key: str, soon: int) -> None:
    assert await store.create(key, b"k|i:1;", soon)
    assert await client.keys() == [f"{PREFIX}{key}".encode()]
    assert await client.get(PREFIX + key) == b"k|i:1;"
    assert 1_439_000 < await client.pttl(PREFIX + key) <= 1_440_000


@pytest.mark.parametrize(
    ("query", "prefix", "expected"),
    [("", None, PREFIX), ("?prefix=app:", None, "app:"), ("", "sf_s", "sf_s"), ("?prefix=", None, "")],
)
async def test_the_prefix_is_that_of_php(
    redis_server: RedisServer, client: Any, key: str, soon: int, query: str, prefix: str | None, expected: str
) -> None:
    path = f"tcp://127.0.0.1:{redis_server.port}{query}"
    async with PHPRedisStore(path, prefix=prefix) as store:
        assert await store.create(key, b"k|i:1;", soon)
        assert await client.keys() == [f"{expected}{key}".encode()]


async def test_equal_bytes_of_two_requests_are_two_writes(store: PHPRedisStore, key: str, soon: int) -> None:
    """Both count from the same value. If the second were taken for the first, one count would be lost."""
    assert await store.create(key, b"n|i:1;", soon)
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")


async def test_bytes_that_stay_get_a_new_expiry(store: PHPRedisStore, key: str, soon: int) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    assert await store.replace(key, b"n|i:1;", soon + 60, b"n|i:1;")
    row = await store.load(key)
    assert row is not None
    assert row.expires_at == soon + 60


async def test_a_row_without_a_ttl_gets_one(store: PHPRedisStore, client: Any, key: str, soon: int) -> None:
    await client.set(PREFIX + key, b"k|i:1;")
    row = await store.load(key)
    assert row is not None
    assert row.expires_at < soon  # so that a touch is due
    assert await store.touch(key, soon)
    assert await client.pttl(PREFIX + key) > 0


async def test_what_is_no_string_is_left_as_it_is(store: PHPRedisStore, client: Any, key: str, soon: int) -> None:
    await client.hset(PREFIX + key, "a", "b")
    with pytest.raises(CorruptRecord, match="left as it is"):
        await store.load(key)
    assert not await store.create(key, b"k|i:1;", soon)
    assert not await store.replace(key, b"k|i:1;", soon, b"x")
    assert not await store.touch(key, soon)
    assert not await store.delete(key, b"x")
    assert await client.hgetall(PREFIX + key) == {b"a": b"b"}


async def test_a_row_that_is_too_large_isnt_read(client: Any, redis_server: RedisServer, key: str, soon: int) -> None:
    await client.set(PREFIX + key, b"x" * 101)
    async with PHPRedisStore(f"127.0.0.1:{redis_server.port}", max_data_bytes=100) as store:
        with pytest.raises(CorruptRecord, match="max_data_bytes"):
            await store.load(key)


async def test_sessions_are_listed_and_nothing_else(store: PHPRedisStore, client: Any, key: str, soon: int) -> None:
    assert isinstance(store, SupportsListing)
    assert await store.create(key, b"k|i:1;", soon)
    await client.set(f"{PREFIX}{key}_LOCK", "host|1")
    await client.set("other", "x")
    assert [one async for one in store.all_keys()] == [key]
    assert await store.delete_expired() == 0


async def test_a_write_waits_for_the_lock_of_php(client: Any, redis_server: RedisServer, key: str, soon: int) -> None:
    lock = f"{PREFIX}{key}_LOCK"
    async with PHPRedisStore(f"127.0.0.1:{redis_server.port}", locking=True, timeout=0.2) as store:
        assert await store.create(key, b"k|i:1;", soon)
        await client.set(lock, "host|1")
        with pytest.raises(SessionUnavailable, match="session_write_close"):
            await store.replace(key, b"k|i:2;", soon, b"k|i:1;")
        with pytest.raises(SessionUnavailable):
            await store.delete(key)
        assert (await store.load(key)) is not None
        assert await store.touch(key, soon + 1)
        await client.delete(lock)
        assert await store.replace(key, b"k|i:2;", soon, b"k|i:1;")
        assert await client.get(lock) is None


async def test_a_server_that_is_down_is_unavailable(key: str, soon: int) -> None:
    store = PHPRedisStore(f"tcp://127.0.0.1:{free_port()}")
    for call in (store.open, lambda: store.load(key), lambda: store.create(key, b"x", soon), lambda: store.delete(key)):
        with pytest.raises(StoreUnavailable):
            await call()
    with pytest.raises(StoreUnavailable):
        _ = [one async for one in store.all_keys()]


async def test_each_session_is_on_the_server_that_phpredis_picks(
    tmp_path_factory: pytest.TempPathFactory, soon: int
) -> None:
    folder = tmp_path_factory.mktemp("two")
    with running(*(RedisServer(folder, "--save", "") for _ in range(2))) as servers:
        path = ", ".join(
            f"tcp://127.0.0.1:{one.port}?weight={weight}" for one, weight in zip(servers, (1, 3), strict=True)
        )
        async with PHPRedisStore(path) as store:
            assert isinstance(store, SupportsSharding)
            keys = [key_of(new_id()) for _ in range(20)]
            for key in keys:
                assert await store.create(key, b"k|i:1;", soon)
            assert sorted([one async for one in store.all_keys()]) == sorted(keys)
            for place, one in enumerate(servers):
                client: Any
                async with Redis.from_url(one.url) as client:
                    names = {name.decode().removeprefix(PREFIX) for name in await client.keys()}
                    assert names == {key for key in keys if store.server_of(key) == place}


@pytest.mark.parametrize("call", ["create", "replace", "delete"])
async def test_a_write_whose_answer_is_lost_isnt_sent_again(
    redis_server: RedisServer, client: Any, key: str, soon: int, call: str
) -> None:
    """Equal bytes may be another request's. So the store can't know, and says so."""
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        async with PHPRedisStore(f"tcp://127.0.0.1:{proxy.port}", timeout=1) as store:
            calls: dict[str, Callable[[str], Awaitable[bool]]] = {
                "create": lambda key: store.create(key, b"n|i:1;", soon),
                "replace": lambda key: store.replace(key, b"n|i:2;", soon, b"n|i:1;"),
                "delete": lambda key: store.delete(key, b"n|i:2;"),
            }
            for write in calls.values():  # so that the server knows the scripts
                assert await write(key)
            for name, write in calls.items():
                if name == call:
                    proxy.drop_reply()
                    with pytest.raises(StoreUnavailable):
                        await write(key)
                    proxy.heal()
                    break
                assert await write(key)
    expected = {"create": b"n|i:1;", "replace": b"n|i:2;", "delete": None}
    assert await client.get(PREFIX + key) == expected[call]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"save_path": "redis://127.0.0.1"}, "tcp://"),
        ({"save_path": None}, "client_or_url"),
        ({"prefix": "a b"}, "prefix"),
        ({"timeout": 0}, "timeout"),
        ({"save_path": "127.0.0.1:1, 127.0.0.1:2", "locking": True}, "single server"),
    ],
)
def test_what_cant_work_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PHPRedisStore(**{"save_path": "tcp://127.0.0.1:6379", **options})


async def test_a_cluster_has_a_prefix_of_its_own_and_no_locks() -> None:
    client = RedisCluster("127.0.0.1", free_port())
    with pytest.raises(ConfigurationError, match="Cluster"):
        PHPRedisStore(client, locking=True)
    assert PHPRedisStore(client)._servers[0]._prefix == "PHPREDIS_CLUSTER_SESSION:"
