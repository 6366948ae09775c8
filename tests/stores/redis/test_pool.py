"""The connections of a store that was given a URL: who gets one, in which order, and in which state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from starlette_sessions_ext import RedisStore, StoreTimeout
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.pool import Pool, make_pool
from starlette_sessions_ext.testing import FaultProxy

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_programs import redis_server as redis_server
from ...support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

LATER = 4_000_000_000


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def pool(proxy: FaultProxy) -> AsyncIterator[Pool]:
    """A pool of one connection."""
    pool = make_pool(f"redis://127.0.0.1:{proxy.port}", timeout=1.0, size=1)
    yield pool
    await pool.aclose()


async def ask(pool: Pool, number: int) -> bytes:
    answer: bytes = await pool.execute("ECHO", number)
    return answer


async def start(*calls: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.ensure_future(call) for call in calls]
    await anyio.wait_all_tasks_blocked()
    return tasks


async def test_calls_wait_for_the_connection_and_get_their_own_answers(pool: Pool, proxy: FaultProxy) -> None:
    assert await asyncio.gather(*(ask(pool, number) for number in range(20))) == [b"%d" % n for n in range(20)]
    assert proxy.connections == 1


async def test_an_error_reply_leaves_the_connection_open(pool: Pool, proxy: FaultProxy) -> None:
    for _ in range(2):
        with pytest.raises(ResponseError):
            await pool.execute("NO-SUCH-COMMAND")
    assert await ask(pool, 1) == b"1"
    assert proxy.connections == 1


async def test_a_call_cancelled_before_its_answer_closes_the_connection(pool: Pool, proxy: FaultProxy) -> None:
    await ask(pool, 0)
    proxy.hold_replies()
    [first, second] = await start(ask(pool, 1), ask(pool, 2))
    first.cancel()
    proxy.release()
    assert await second == b"2"
    assert first.cancelled()
    assert proxy.connections == 2


async def test_one_that_stops_waiting_leaves_its_turn_to_the_next(pool: Pool, proxy: FaultProxy) -> None:
    await ask(pool, 0)
    proxy.hold_replies()
    [first, second, third] = await start(ask(pool, 1), ask(pool, 2), ask(pool, 3))
    second.cancel()
    proxy.release()
    assert (await first, await third) == (b"1", b"3")
    assert proxy.connections == 1


async def test_one_cancelled_as_it_gets_the_connection_passes_it_on(pool: Pool, proxy: FaultProxy) -> None:
    connection = await pool.get_connection()
    [second, third] = await start(ask(pool, 2), ask(pool, 3))
    await pool.release(connection)
    second.cancel()
    assert await third == b"3"
    assert second.cancelled()
    assert await ask(pool, 4) == b"4"
    assert proxy.connections == 1


async def test_one_that_waited_gets_a_closed_connection_reopened(pool: Pool, proxy: FaultProxy) -> None:
    await ask(pool, 0)
    proxy.hold_replies()
    [first, second] = await start(ask(pool, 1), ask(pool, 2))
    proxy.reset()
    proxy.release()
    assert await second == b"2"
    with pytest.raises(RedisConnectionError):
        await first


async def test_a_connection_on_which_something_came_unasked_is_replaced(pool: Pool, proxy: FaultProxy) -> None:
    await ask(pool, 0)
    connection: Any = pool._available_connections[0]
    connection._reader.feed_data(b"+OK\r\n")
    assert await ask(pool, 1) == b"1"
    assert proxy.connections == 2


@pytest.mark.parametrize("size", [1, 3])
async def test_a_failed_login_gives_its_place_back(redis_server: RedisServer, size: int) -> None:
    pool = make_pool(f"redis://:wrong@127.0.0.1:{redis_server.port}", timeout=1.0, size=size)
    outcomes = await asyncio.gather(*(ask(pool, number) for number in range(6)), return_exceptions=True)
    assert len(outcomes) == 6
    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert pool.can_get_connection()


async def test_waiting_for_a_connection_ends_at_the_deadline(redis_server: RedisServer) -> None:
    async with RedisStore(redis_server.url, timeout=0.2, pool_size=1) as store:
        pool: Any = store._clients.here().client.connection_pool  # type: ignore[union-attr]
        connection = await pool.get_connection()
        with pytest.raises(StoreTimeout):
            await store.load(key_of(new_id()))
        with pytest.raises(StoreTimeout):
            await store.create(key_of(new_id()), b"data", LATER)
        await pool.release(connection)
        assert await store.load(key_of(new_id())) is None


async def test_large_and_binary_data_come_back_as_they_were(redis_server: RedisServer) -> None:
    async with RedisStore(redis_server.url) as store, Redis.from_url(redis_server.url) as control:
        for data in (b"", b"\r\n$5\r\n", bytes(range(256)), b"x" * 1_000_000):
            key = key_of(new_id())
            assert await store.create(key, data, LATER)
            assert await control.get(f"session:{key}") == data
            row = await store.load(key)
            assert row is not None
            assert row.data == data
            assert await store.replace(key, data + b"\xff", LATER, row.version)
            assert await control.get(f"session:{key}") == data + b"\xff"


@pytest.mark.parametrize("clustered", [False, True], ids=["single", "cluster"])
async def test_a_given_client_isnt_asked_more_at_once_than_it_has_connections_for(
    request: pytest.FixtureRequest, redis_server: RedisServer, clustered: bool
) -> None:
    """redis-py's pools have a hundred by default, and raise an error to the next call."""
    if clustered:
        client: Any = RedisCluster("127.0.0.1", request.getfixturevalue("cluster")[0].port, max_connections=70)
    else:
        client = Redis.from_url(redis_server.url, max_connections=70)
    keys = [key_of(new_id()) for _ in range(300)]
    async with client, RedisStore(client, timeout=20) as store:
        assert await asyncio.gather(*(store.create(key, b"data", LATER) for key in keys)) == [True] * 300
        assert None not in await asyncio.gather(*(store.load(key) for key in keys))
