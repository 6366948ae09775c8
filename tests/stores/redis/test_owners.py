"""The index of an owner in Redis: written first, as long-lived as its rows, and never trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import RedisStore, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.errors import INDEXING, RIGHTS
from starlette_sessions_ext.stores.redis.rows import TAIL_BYTES, Row, listed_until, read, write
from starlette_sessions_ext.testing import FakeClock

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_programs import redis_server as redis_server
from ...support.redis_server import RedisServer, RunningClock, let_pass

pytestmark = pytest.mark.anyio

ANN, BOB = "a" * 32, "b" * 32
INDEX = f"session:owner:{ANN}"
HOUR = 3600


@pytest.fixture
def clock() -> FakeClock:
    return RunningClock()


@pytest.fixture
async def control(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as control:
        await control.flushall()
        yield control


@pytest.fixture
async def store(redis_server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisStore]:
    async with RedisStore(redis_server.url, clock=clock) as store:
        yield store


async def commands(control: Redis) -> dict[str, int]:
    stats = await control.info("commandstats")
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}


async def load(store: RedisStore, key: str) -> Any:
    row = await store.load(key)
    assert row is not None
    return row


# Rows


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"\0" * TAIL_BYTES, b" owner=", b"x" * 200, b" owner=" + b"x" * (TAIL_BYTES - 7)),
        write(Row(b"data", ANN, 1)),
        write(Row(write(Row(b"data", ANN, 1)))),
        b" owner=" + b"-" * 32 + b" until=" + b"0" * 12,
    ],
)
async def test_any_bytes_come_back_with_their_owner(store: RedisStore, data: bytes, soon: int) -> None:
    for owner in (None, ANN):
        assert read(write(Row(data, owner, 5)))[:2] == (data, owner)
        key = key_of(new_id())
        assert await store.create(key, data, soon, owner)
        row = await load(store, key)
        assert row.data == data
        assert await store.owner_of(key) == owner
        assert await store.replace(key, data + b"1", soon, row.version, owner)
        assert (await load(store, key)).data == data + b"1"


def test_a_row_without_an_owner_is_its_data() -> None:
    assert write(Row(b"data")) == b"data"
    assert read(b"data") == Row(b"data")


def test_a_row_shows_none_of_its_data() -> None:
    assert repr(Row(b"canary", ANN, 1)) == "Row(<6 bytes>)"


async def test_a_row_of_before_has_no_owner_until_it_is_given_one(
    store: RedisStore, control: Redis, key: str, soon: int
) -> None:
    await control.set(f"session:{key}", b"data", px=HOUR * 1000)
    assert await store.owner_of(key) is None
    assert await store.touch(key, soon)
    assert await store.replace(key, b"new", soon, b"data", ANN)
    assert await store.keys_of(ANN) == [key]


async def test_what_isnt_a_session_has_no_owner(store: RedisStore, control: Redis, key: str, soon: int) -> None:
    await store.create(key, b"data", soon, ANN)
    await control.delete(f"session:{key}")
    await control.lpush(f"session:{key}", "x")
    assert await store.owner_of(key) is None
    assert await store.keys_of(ANN) == []
    assert await store.delete_all_of(ANN) == 0
    assert await control.type(f"session:{key}") == b"list"


# What it costs


async def test_a_read_is_one_command(store: RedisStore, control: Redis, key: str, soon: int) -> None:
    await store.create(key, b"data", soon, ANN)
    await store.load(key)
    await control.config_resetstat()
    await store.load(key)
    sent = await commands(control)
    assert {name: sent[name] for name in sent.keys() - {"config|resetstat"}} == {"evalsha": 1, "get": 1, "pttl": 1}


async def test_a_write_lists_the_row_only_where_it_would_live_longer(
    store: RedisStore, control: Redis, clock: FakeClock, key: str
) -> None:
    now = int(clock())
    await store.create(key, b"0", now + HOUR, ANN)
    expected = []
    for number, (seconds, owner, lists) in enumerate(
        [
            (HOUR, ANN, 0),
            (HOUR // 2, ANN, 0),
            (HOUR + HOUR // 20, ANN, 0),
            (2 * HOUR, ANN, 1),
            (HOUR, ANN, 0),
            (HOUR, None, 0),
            (HOUR, ANN, 1),
        ]
    ):
        before = (await commands(control)).get("zremrangebyscore", 0)
        row = await load(store, key)
        assert await store.replace(key, b"%d" % number, now + seconds, row.version, owner)
        expected.append((await commands(control))["zremrangebyscore"] - before == lists)
    assert all(expected), expected
    before = (await commands(control))["zremrangebyscore"]
    assert await store.touch(key, now + HOUR)
    assert (await commands(control))["zremrangebyscore"] == before
    assert await store.touch(key, now + 3 * HOUR)
    assert (await commands(control))["zremrangebyscore"] == before + 1


# How long it lives


async def test_an_index_lives_as_long_as_its_rows(
    store: RedisStore, control: Redis, clock: FakeClock, key: str
) -> None:
    now = int(clock())
    other = key_of(new_id())
    await store.create(key, b"data", now + HOUR, ANN)
    await store.create(other, b"data", now + HOUR // 2, ANN)
    for seconds in (HOUR, 5 * HOUR, 2 * HOUR):
        assert await store.touch(other, now + seconds)
        for one in (key, other):
            assert await control.pttl(INDEX) > await control.pttl(f"session:{one}")
            score = await control.zscore(INDEX, one)
            assert score is not None
            assert score > now + (await control.ttl(f"session:{one}"))
    clock.advance(5 * HOUR)
    await let_pass(control, 5 * HOUR)
    assert await store.keys_of(ANN) == []
    clock.advance(HOUR)
    await let_pass(control, HOUR)
    assert await control.dbsize() == 0


async def test_what_was_deleted_or_has_ended_leaves_the_index(
    store: RedisStore, control: Redis, clock: FakeClock, key: str
) -> None:
    soon, ended, stays = int(clock()) + HOUR, key_of(new_id()), key_of(new_id())
    await store.create(key, b"data", soon, ANN)
    await store.create(ended, b"data", soon, ANN)
    await store.create(stays, b"data", soon + 9 * HOUR, ANN)
    assert await store.delete(key)
    assert await control.zscore(INDEX, key) is None
    clock.advance(2 * HOUR)
    await let_pass(control, 2 * HOUR)
    assert await store.keys_of(ANN) == [stays]
    assert await control.zcard(INDEX) == 1
    assert await store.delete_all_of(ANN) == 1
    assert not await control.exists(INDEX)


async def test_all_keys_are_those_of_rows(store: RedisStore, control: Redis, key: str, soon: int) -> None:
    await store.create(key, b"data", soon, ANN)
    assert [one async for one in store.all_keys()] == [key]


# What ended between the index and the row


async def test_a_row_that_was_never_written_isnt_listed(
    store: RedisStore, control: Redis, clock: FakeClock, key: str, soon: int
) -> None:
    await store._owners.add(ANN, key, soon)
    assert await store.keys_of(ANN) == []
    assert await store.delete_all_of(ANN) == 0
    assert await control.zscore(INDEX, key) is not None, "its row may be on the way"
    assert await store.create(key, b"data", soon, ANN)
    assert await store.keys_of(ANN) == [key]


async def test_a_row_that_outlived_its_entry_is_listed_from_its_next_use_on(
    store: RedisStore, control: Redis, clock: FakeClock, soon: int
) -> None:
    """As after a kill between the touch of a row and that of the index."""
    for use in ("touch", "replace"):
        key = key_of(new_id())
        await store.create(key, b"data", int(clock()) + HOUR, ANN)
        later = int(clock()) + 9 * HOUR
        await store._clients.here().touches.submit(f"session:{key}", 9 * HOUR * 1000, later)
        clock.advance(2 * HOUR)
        await let_pass(control, 2 * HOUR)
        row = await load(store, key)
        if use == "touch":
            assert await store.touch(key, later)
        else:
            assert await store.replace(key, b"new", later, row.version, ANN)
        assert await store.keys_of(ANN) == [key]
        assert await store.delete_all_of(ANN) == 1


async def test_an_entry_never_ends_sooner(store: RedisStore, control: Redis, clock: FakeClock, key: str) -> None:
    """A slow write may list a row after another that lets it live for longer."""
    now = int(clock())
    await store.create(key, b"data", now + 9 * HOUR, ANN)
    await store._owners.add(ANN, key, now + HOUR)
    score = await control.zscore(INDEX, key)
    assert score is not None
    assert score >= now + 9 * HOUR


# What the server refuses


async def test_no_row_is_made_where_its_owner_cant_be_listed(
    store: RedisStore, control: Redis, key: str, soon: int
) -> None:
    await store.create(key, b"data", soon)
    await control.set(INDEX, "of another program", px=HOUR * 1000)
    new = key_of(new_id())
    with pytest.raises(StoreUnavailable, match="something other than a sorted set under the key of an owner"):
        await store.create(new, b"data", soon, ANN)
    with pytest.raises(StoreUnavailable, match="begin with the store's prefix"):
        await store.replace(key, b"new", soon, b"data", ANN)
    for call in (store.keys_of, store.delete_all_of):
        with pytest.raises(StoreUnavailable, match="sorted set"):
            await call(ANN)
    assert await store.load(new) is None
    assert (await load(store, key)).data == b"data"


async def test_a_row_is_removed_though_its_entry_cant_be(
    store: RedisStore, control: Redis, key: str, soon: int
) -> None:
    await store.create(key, b"data", soon, ANN)
    await control.set(INDEX, "of another program", px=HOUR * 1000)
    assert await store.delete(key)
    assert await store.load(key) is None


@pytest.mark.parametrize("right", [*INDEXING, "all of them"])
async def test_rights_that_owners_need_are_named(
    redis_server: RedisServer, control: Redis, key: str, soon: int, right: str
) -> None:
    async def acl(line: str) -> None:
        await control.execute_command(*line.split())  # type: ignore[no-untyped-call]

    without = [name for name in INDEXING if right in (name, "all of them")]
    granted = [*RIGHTS, *INDEXING]
    await acl(f"ACL SETUSER app reset on >canary ~session:* {' '.join(f'+{name}' for name in granted)}")
    await acl(f"ACL SETUSER app {' '.join(f'-{name}' for name in without)}")
    async with RedisStore(f"redis://app:canary@127.0.0.1:{redis_server.port}/0") as store:
        await store.create(key, b"data", soon)
        if right == "zrem":  # without it entries are forgotten later
            assert await store.create(key_of(new_id()), b"data", soon, ANN)
            assert await store.delete_all_of(ANN) == 1
            return
        with pytest.raises(StoreUnavailable, match=r"doesn't let this user run .*: ACL SETUSER") as error:
            await store.create(key_of(new_id()), b"data", soon, ANN)
        await acl(str(error.value).partition(": ")[2].replace("USER ~", "app ~"))
        mine = key_of(new_id())
        assert await store.create(mine, b"data", soon, ANN)
        assert await store.keys_of(ANN) == [mine]
        assert await store.delete_all_of(ANN) == 1


def test_a_row_is_listed_for_longer_than_it_lives() -> None:
    assert listed_until(1000, 1000.0) == 1060
    assert listed_until(17_000, 1000.0) == 18_060
