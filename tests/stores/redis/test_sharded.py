from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import ConfigurationError, RedisStore, SessionStore, Stored, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.base import SupportsSharding
from starlette_sessions_ext.stores.redis.sharded import SavePathServer, parse_save_path, pick
from starlette_sessions_ext.testing import FakeClock, StoreContract

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_server import RedisServer, let_pass
from ...support.servers import free_port, running

pytestmark = pytest.mark.anyio

PREFIX = "PHPREDIS_SESSION:"
ANN = "a" * 32


@pytest.fixture(scope="module")
def servers(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, ...]]:
    folder = tmp_path_factory.mktemp("redis-servers")
    with running(*(RedisServer(folder, "--save", "", program=redis_program) for _ in range(3))) as started:
        yield started


async def load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


def save_path(servers: tuple[RedisServer, ...]) -> str:
    return ", ".join(f"tcp://127.0.0.1:{server.port}?weight={2**n}" for n, server in enumerate(servers))


class TestWeightedRedisStore(StoreContract):
    @pytest.fixture
    async def store(self, servers: tuple[RedisServer, ...], clock: FakeClock) -> AsyncIterator[SessionStore]:
        self.urls = [server.url for server in servers]
        for url in self.urls:
            async with Redis.from_url(url) as control:
                await control.flushall()
        async with RedisStore.from_save_path(save_path(servers), clock=clock) as store:
            yield store

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        clock.advance(seconds)
        for url in self.urls:
            async with Redis.from_url(url) as control:
                await let_pass(control, seconds)


async def test_sessions_lie_where_phpredis_puts_them(servers: tuple[RedisServer, ...], clock: FakeClock) -> None:
    async with RedisStore.from_save_path(save_path(servers), clock=clock) as store:
        for key in [key_of(new_id()) for _ in range(50)]:
            await store.create(key, b"data", int(clock()) + 60)
            assert isinstance(store, SupportsSharding)
            assert store.server_of(key) == pick([1, 2, 4], key)
            async with Redis.from_url(servers[pick([1, 2, 4], key)].url) as control:
                assert await control.get(PREFIX + key) == b"data"


async def test_a_dead_server_takes_its_own_share_only(servers: tuple[RedisServer, ...], clock: FakeClock) -> None:
    async with RedisStore.from_save_path(save_path(servers), clock=clock) as store:
        keys = [key_of(new_id()) for _ in range(50)]
        for key in keys:
            await store.create(key, b"data", int(clock()) + 60)
        servers[2].stop()
        for key in keys:
            if pick([1, 2, 4], key) == 2:
                with pytest.raises(StoreUnavailable, match=str(servers[2].port)):
                    await store.load(key)
            else:
                assert await store.load(key) is not None
        servers[2].start()


async def test_a_server_that_is_down_at_the_start_takes_its_own_share_only(
    servers: tuple[RedisServer, ...], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    servers[1].stop()
    try:
        async with RedisStore.from_save_path(save_path(servers), clock=clock) as store:
            for key in [key_of(new_id()) for _ in range(50)]:
                if pick([1, 2, 4], key) != 1:
                    assert await store.create(key, b"data", int(clock()) + 60)
    finally:
        servers[1].start()
    [record] = caplog.records
    assert record.getMessage().startswith("started without some sessions: ")
    assert str(servers[1].port) in record.getMessage()


async def test_nothing_starts_where_no_server_can_be_reached() -> None:
    store = RedisStore.from_save_path(f"127.0.0.1:{free_port()}, 127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable):
        await store.open()
    await store.aclose()


async def test_an_owner_has_sessions_on_every_server(servers: tuple[RedisServer, ...], clock: FakeClock) -> None:
    async with RedisStore.from_save_path(save_path(servers), clock=clock) as store:
        keys, soon = sorted(key_of(new_id()) for _ in range(50)), int(clock()) + 60
        for key in keys:
            assert await store.create(key, b"data", soon, ANN)
            assert await store.replace(key, b"new", soon, (await load(store, key)).version, ANN)
            assert await store.owner_of(key) == ANN
        assert sorted(await store.keys_of(ANN)) == keys
        for server in servers:
            async with Redis.from_url(server.url) as control:
                assert await control.zcard(f"{PREFIX}owner:{ANN}") > 0
        assert await store.delete_all_of(ANN, keep=keys[0]) == 49
        assert await store.keys_of(ANN) == [keys[0]]


async def test_an_owners_sessions_go_from_the_servers_that_run(
    servers: tuple[RedisServer, ...], clock: FakeClock
) -> None:
    async with RedisStore.from_save_path(save_path(servers), clock=clock) as store:
        keys = [key_of(new_id()) for _ in range(50)]
        for key in keys:
            await store.create(key, b"data", int(clock()) + 60, ANN)
        servers[0].stop()
        for call in (store.keys_of, store.delete_all_of):
            with pytest.raises(StoreUnavailable, match=str(servers[0].port)):
                await call(ANN)
        reached = [key for key in keys if store.server_of(key) != 0]
        assert [await store.load(key) for key in reached] == [None] * len(reached)
        servers[0].start()


@pytest.mark.parametrize(
    ("key", "expected"),
    # The first four bytes as a little-endian number, modulo 8: the last server owns 0-4, the middle 5-6, the first 7.
    [("aaaa", 2), ("eaaa", 1), ("faaa", 1), ("gaaa", 0), ("haaa", 2), ("2aaa", 2), ("5aaa", 1), ("7aaa", 0)],
)
def test_the_server_of_an_id(key: str, expected: int) -> None:
    assert pick([1, 2, 5], key + "b" * 28) == expected


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("tcp://10.0.0.1:6380", SavePathServer("redis://10.0.0.1:6380/0")),
        ("tcp://10.0.0.1", SavePathServer("redis://10.0.0.1:6379/0")),
        ("10.0.0.1:6380", SavePathServer("redis://10.0.0.1:6380/0")),
        ("tcp://[::1]:6380", SavePathServer("redis://[::1]:6380/0")),
        ("tls://host:6380?weight=3", SavePathServer("rediss://host:6380/0", weight=3)),
        ("unix:///run/redis.sock?database=2", SavePathServer("unix:///run/redis.sock?db=2")),
        ("tcp://h?database=5&prefix=", SavePathServer("redis://h:6379/5", prefix="")),
        ("tcp://h?auth=p%40ss%2Fword+", SavePathServer("redis://:p%40ss%2Fword%20@h:6379/0")),
        ("tcp://h?auth[user]=u&auth[pass]=p", SavePathServer("redis://u:p@h:6379/0")),
        ("tcp://h?auth[]=u&auth[]=p", SavePathServer("redis://u:p@h:6379/0")),
        ("tcp://h?timeout=2.5&read_timeout=1", SavePathServer("redis://h:6379/0", timeout=1.0)),
        ("tcp://h?timeout=2.5&read_timeout=0", SavePathServer("redis://h:6379/0", timeout=2.5)),
        ("tcp://h?persistent=1&persistent_id=x&retry_interval=10", SavePathServer("redis://h:6379/0")),
    ],
)
def test_one_server(address: str, server: SavePathServer) -> None:
    assert parse_save_path(address) == [server]


def test_several_servers_by_commas_and_white_space() -> None:
    assert [server.url for server in parse_save_path("tcp://a, tcp://b\n tcp://c,d:1 ")] == [
        "redis://a:6379/0",
        "redis://b:6379/0",
        "redis://c:6379/0",
        "redis://d:1/0",
    ]


@pytest.mark.parametrize(
    "path",
    [
        *("", " , ", "redis://h", "http://h", "tcp://", "unix://", "tcp://h:port", "tcp://h:99999", "tcp://h/5"),
        *("tcp://user:canary@h", "tcp://h#x", "tcp://a;tcp://b", "tcp://h?weight=0", "tcp://h?weight=-1"),
        *("tcp://h?weight=2abc", "tcp://h?weight=", "tcp://h?database=x", "tcp://h?timeout=-1", "tcp://h?wieght=1"),
        *("tcp://h?weight=1&weight=2", "tcp://h?auth[]=u", "tcp://h?auth[user]=u", "tcp://h?stream[verify_peer]=0"),
    ],
)
def test_what_cant_be_meant_is_an_error(path: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_save_path(path)
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    "path",
    [
        "tcp://h?auth=pa&canary",
        "tcp://h?auth=pa&canary=1",
        "tcp://h?auth=pa,canary",
        "tcp://h?auth=pa,canary:1",
        "tcp://h?auth=pa canary",
        "tcp://h?auth[user]=u&auth[pass]=pa,canary",
        "tcp://h?auth=pa#canary",
        "tcp://h?auth=pa/canary&weight=canary",
        "tcp://h?weight=1&auth=canary&auth=canary",
        "tls://canary:1@h",
        "tcp://h:1canary",
        "tcp://[canary",
        "canary@h",
        "tcp://h/canary",
        "canary://h",
    ],
)
def test_no_part_of_a_password_is_shown_or_taken_for_a_server(path: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_save_path(path)
    assert "canary" not in "".join(traceback.format_exception(error.value))


def test_a_password_isnt_shown() -> None:
    assert "canary" not in repr(parse_save_path("tcp://h?auth=canary"))
    store = RedisStore.from_save_path("tcp://h?auth=canary")
    assert "canary" not in f"{store!r} {store}"


def test_how_to_write_a_password_is_explained() -> None:
    for path in ("tcp://h?auth=pa&ss", "tcp://h?auth=pa,ss"):
        with pytest.raises(ConfigurationError, match=r"%26.*%2C"):
            parse_save_path(path)
    assert parse_save_path("tcp://h?auth=pa%26s%2Cs") == [SavePathServer("redis://:pa%26s%2Cs@h:6379/0")]


def test_a_server_without_a_scheme_may_stand_where_no_password_is() -> None:
    assert [server.url for server in parse_save_path("tcp://a, b:1, tcp://c")] == [
        "redis://a:6379/0",
        "redis://b:1/0",
        "redis://c:6379/0",
    ]


@pytest.mark.parametrize("path", [None, b"tcp://h", ["tcp://h"]])
def test_what_isnt_a_path_is_an_error(path: Any) -> None:
    with pytest.raises(ConfigurationError, match="save path is a str"):
        RedisStore.from_save_path(path)


async def test_a_database_that_isnt_there_is_told_at_open(servers: tuple[RedisServer, ...]) -> None:
    """phpredis goes on with database 0."""
    store: Any = RedisStore.from_save_path(f"tcp://127.0.0.1:{servers[0].port}?database=99")
    with pytest.raises(StoreUnavailable):
        await store.open()
    await store.aclose()


async def test_keys_and_findings_come_from_all_servers(servers: tuple[RedisServer, ...], clock: FakeClock) -> None:
    for server in servers:
        async with Redis.from_url(server.url) as control:
            await control.flushall()
    async with RedisStore.from_save_path(save_path(servers), clock=clock) as store:
        keys = {key_of(new_id()) for _ in range(30)}
        for key in keys:
            await store.create(key, b"data", int(clock()) + 60)
        assert {key async for key in store.all_keys()} == keys
        assert [finding.remedy for finding in await store.diagnose()] == [
            "CONFIG SET appendonly yes, and in redis.conf"
        ] * 3
