"""Calls that share a command: each gets its own answer, and none suffers from another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import CorruptRecord, RedisStore, Stored, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.scripts import MAX_BATCHED_CALLS
from starlette_sessions_ext.testing import FaultProxy

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_programs import redis_server as redis_server
from ...support.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def control(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as control:
        yield control


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    async with RedisStore(redis_server.url) as store:
        yield store


async def filled(store: RedisStore, count: int, soon: int) -> list[str]:
    keys = [key_of(new_id()) for _ in range(count)]
    for key in keys:
        assert await store.create(key, key.encode(), soon)
    return keys


async def loaded(store: RedisStore, keys: list[str]) -> dict[str, bytes | None]:
    """What many callers load in the same moment."""
    found: dict[str, bytes | None] = {}

    async def load(key: str) -> None:
        row = await store.load(key)
        found[key] = None if row is None else row.data

    async with anyio.create_task_group() as group:
        for key in keys:
            group.start_soon(load, key)
    return found


async def evaluations(control: Redis) -> int:
    stats = await control.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


async def test_loads_of_one_moment_share_commands(store: RedisStore, control: Redis, soon: int) -> None:
    keys = await filled(store, MAX_BATCHED_CALLS + 5, soon)
    await store.load(keys[0])  # now the script is known
    before = await evaluations(control)
    absent = key_of(new_id())
    found = await loaded(store, [*keys, absent])
    assert found == {key: key.encode() for key in keys} | {absent: None}
    assert await evaluations(control) - before == 2


async def test_changes_of_one_moment_share_commands_and_have_their_own_answers(
    store: RedisStore, control: Redis, soon: int
) -> None:
    keys = await filled(store, 9, soon)
    versions = [row.version for key in keys if (row := await store.load(key))]
    answers: dict[str, bool] = {}

    async def change(number: int, key: str) -> None:
        version = versions[number] if number % 3 else b"stale"
        if number < 5:
            answers[key] = await store.replace(key, b"new", soon, version)
        else:
            answers[key] = await store.delete(key, version)

    before = await evaluations(control)
    async with anyio.create_task_group() as group:
        for number, key in enumerate(keys):
            group.start_soon(change, number, key)
    assert await evaluations(control) - before <= 4, "two scripts, each sent whole the first time"
    assert [answers[key] for key in keys] == [number % 3 > 0 for number in range(9)]
    found = await loaded(store, keys)
    for number, key in enumerate(keys):
        changed = b"new" if number < 5 else None
        assert found[key] == (changed if number % 3 else key.encode())


@pytest.mark.parametrize("foreign", ["list", "hash", "set", "zset", "stream"])
async def test_a_key_that_holds_something_else_fails_alone(
    store: RedisStore, control: Redis, soon: int, foreign: str
) -> None:
    keys = await filled(store, 4, soon)
    versions = [row.version for key in keys if (row := await store.load(key))]
    await make_foreign(control, f"session:{keys[1]}", foreign)

    answers = await asyncio.gather(*map(store.load, keys), return_exceptions=True)
    error = answers.pop(1)
    assert isinstance(error, CorruptRecord)
    assert keys[1] not in str(error)
    assert [row.data.decode() for row in answers if isinstance(row, Stored)] == [keys[0], keys[2], keys[3]]
    touched = await asyncio.gather(*(store.touch(key, soon + 60) for key in keys))
    assert touched == [True, False, True, True]
    changed = await asyncio.gather(
        *(store.replace(key, b"new", soon, version) for key, version in zip(keys, versions, strict=True))
    )
    assert changed == [True, False, True, True]
    assert not await store.create(keys[1], b"data", soon)
    removed = await asyncio.gather(*(store.delete(key, b"new") for key in keys))
    assert removed == [True, False, True, True]
    assert await control.type(f"session:{keys[1]}") == foreign.encode()
    assert await control.ttl(f"session:{keys[1]}") == -1, "touch left it alone"
    assert await store.delete(keys[1])
    assert not await control.exists(f"session:{keys[1]}")


async def make_foreign(control: Redis, name: str, kind: str) -> None:
    await control.delete(name)
    commands = {
        "list": ("LPUSH", name, "x"),
        "hash": ("HSET", name, "field", "x"),
        "set": ("SADD", name, "x"),
        "zset": ("ZADD", name, "1", "x"),
        "stream": ("XADD", name, "*", "field", "x"),
    }
    await control.execute_command(*commands[kind])  # type: ignore[no-untyped-call]


async def test_touch_leaves_a_string_without_a_ttl_alone(store: RedisStore, control: Redis, soon: int) -> None:
    key = key_of(new_id())
    await control.set(f"session:{key}", "somebody's counter")
    assert not await store.touch(key, soon)
    assert await control.ttl(f"session:{key}") == -1


async def test_who_stops_waiting_takes_nothing_from_the_others(store: RedisStore, soon: int) -> None:
    keys = await filled(store, 10, soon)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(store.load, keys[0])
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    with anyio.move_on_after(0):
        await store.load(keys[1])
    assert await loaded(store, keys) == {key: key.encode() for key in keys}


async def test_a_lost_connection_is_told_to_each_that_waited(redis_server: RedisServer, soon: int) -> None:
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        async with RedisStore(f"redis://127.0.0.1:{proxy.port}/0", timeout=2) as store:
            keys = await filled(store, 3, soon)
            proxy.silent = True
            failures: list[StoreUnavailable] = []

            async def load(key: str) -> None:
                try:
                    await store.load(key)
                except StoreUnavailable as error:
                    failures.append(error)

            async with anyio.create_task_group() as group:
                for key in keys:
                    group.start_soon(load, key)
                await anyio.wait_all_tasks_blocked()  # all are sent
                proxy.reset()
            assert len({id(error.__cause__) for error in failures}) == 3, "each its own, with its own traceback"
            proxy.silent = False
            assert await loaded(store, keys) == {key: key.encode() for key in keys}


async def test_a_client_that_doesnt_know_of_a_cluster_sends_one_call_at_a_time(
    cluster: tuple[RedisServer, ...], soon: int
) -> None:
    """Some hosted clusters look like one server, but refuse a command for keys that they keep apart."""
    async with Redis(port=cluster[0].port) as client:
        store = RedisStore(client)
        keys: list[str] = []
        elsewhere: list[str] = []
        while len(keys) < 5 or not elsewhere:
            key = key_of(new_id())
            try:
                await store.create(key, key.encode(), soon)
                keys.append(key)
            except StoreUnavailable:  # it belongs to another node
                elsewhere.append(key)
        for _ in range(2):
            answers = await asyncio.gather(*map(store.load, [*keys, elsewhere[0]]), return_exceptions=True)
            assert [row.data for row in answers[:-1] if isinstance(row, Stored)] == [key.encode() for key in keys]
            assert isinstance(answers[-1], StoreUnavailable)
