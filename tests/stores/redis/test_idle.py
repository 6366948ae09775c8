"""Connections that a firewall has forgotten: replaced when idle for long, kept known, and noticed by a load."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import RedisStore, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.pool import Pool
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
async def store(proxy: FaultProxy) -> AsyncIterator[RedisStore]:
    async with RedisStore(f"redis://127.0.0.1:{proxy.port}", timeout=1.0) as store:
        yield store


@pytest.fixture
async def control(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as control:
        yield control


async def make(store: RedisStore, count: int) -> list[str]:
    """As many sessions, and as many idle connections."""
    keys = [key_of(new_id()) for _ in range(count)]
    assert await asyncio.gather(*(store.create(key, key.encode(), LATER) for key in keys)) == [True] * count
    client: Any = store._clients.here().client
    if isinstance(pool := client.connection_pool, Pool):
        for connection in [await pool.get_connection() for _ in range(count)]:
            await pool.release(connection)
    return keys


async def calls(control: Redis, *names: str) -> int:
    stats = await control.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)


async def test_a_load_on_a_forgotten_connection_is_asked_once_more(store: RedisStore, proxy: FaultProxy) -> None:
    keys = await make(store, 5)
    proxy.forget()
    made = proxy.connections
    for key in keys:
        row = await store.load(key)
        assert row is not None
        assert row.data == key.encode()
    assert proxy.connections > made


async def test_after_one_that_got_no_answer_all_idle_ones_are_replaced(store: RedisStore, proxy: FaultProxy) -> None:
    """So that a write, which is never sent twice, doesn't meet the next forgotten one."""
    [key, touched, replaced, deleted, _] = await make(store, 5)
    proxy.forget()
    assert await store.load(key) is not None
    calls = [
        store.create(key_of(new_id()), b"data", LATER),
        store.touch(touched, LATER),
        store.replace(replaced, b"new", LATER, replaced.encode()),
        store.delete(deleted),
    ]
    assert await asyncio.gather(*calls) == [True] * 4, "each over another connection"


async def test_a_write_is_never_sent_twice(store: RedisStore, proxy: FaultProxy, control: Redis) -> None:
    key, other, third = await make(store, 3)
    await store.touch(other, LATER)  # now the server knows the scripts
    await store.replace(other, b"new", LATER, other.encode())
    await store.delete(other, b"new")
    writes: dict[str, Callable[[], Awaitable[object]]] = {
        "touch": lambda: store.touch(key, LATER + 60),
        "replace": lambda: store.replace(key, b"new", LATER, key.encode()),
        "delete": lambda: store.delete(key, b"new"),
        "create": lambda: store.create(other, b"data", LATER),
    }
    for name, write in writes.items():
        command = "set" if name == "create" else "evalsha"
        await store.load(key)  # over a connection that is ready
        before = await calls(control, command)
        proxy.drop_reply()
        with suppress(StoreTimeout):
            await write()
        assert await calls(control, command) - before == 1, name
    await store.load(third)
    before = await calls(control, "del")
    proxy.drop_reply()
    with suppress(StoreTimeout):
        await store.delete(third)
    assert await calls(control, "del") - before == 1


async def test_a_load_is_asked_no_more_than_twice(store: RedisStore, proxy: FaultProxy) -> None:
    [key] = await make(store, 1)
    made = proxy.connections
    proxy.silent = True
    with pytest.raises(StoreTimeout, match=r"didn't answer within 1\.0 s"):
        await store.load(key)
    assert proxy.connections <= made + 1


async def test_what_a_server_refuses_isnt_asked_again(redis_server: RedisServer, control: Redis) -> None:
    store = RedisStore(f"redis://:wrong@127.0.0.1:{redis_server.port}")
    before = await calls(control, "auth")
    with pytest.raises(StoreUnavailable, match="has no password"):
        await store.load(key_of(new_id()))
    assert await calls(control, "auth") - before <= 2  # redis-py's second form of AUTH
    await store.aclose()


async def test_a_given_client_is_asked_once_more_as_well(proxy: FaultProxy) -> None:
    async with Redis(port=proxy.port) as client:
        store = RedisStore(client, timeout=1.0)
        [key] = await make(store, 1)
        proxy.forget()
        assert await store.load(key) is not None


async def test_a_connection_idle_for_long_is_replaced(
    store: RedisStore, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    [key] = await make(store, 1)
    made = proxy.connections
    await store.load(key)
    assert proxy.connections == made
    monkeypatch.setattr("starlette_sessions_ext.stores.redis.pool._IDLE_SECONDS", 0.0)
    await asyncio.sleep(0.01)
    assert await store.load(key) is not None
    assert proxy.connections == made + 1


async def test_connections_are_kept_known_by_probes(redis_server: RedisServer) -> None:
    async def options(url: str) -> tuple[int, int]:
        async with RedisStore(url) as store:
            [connection] = connections(store)
            sock = connection._writer.transport.get_extra_info("socket")
            idle = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), idle

    assert await options(redis_server.url) == (1, 60)
    assert (await options(f"{redis_server.url}?socket_keepalive=no"))[0] == 0


def connections(store: RedisStore) -> list[Any]:
    client: Any = store._clients.here().client
    return list(client.connection_pool._available_connections)


async def test_a_write_without_an_answer_isnt_taken_for_done_where_the_key_holds_something_else(
    store: RedisStore, proxy: FaultProxy, control: Redis
) -> None:
    [key, other] = await make(store, 2)
    assert await store.replace(other, b"new", LATER, other.encode())  # now the server knows the script
    await control.delete(f"session:{key}")
    await control.lpush(f"session:{key}", "x")
    proxy.drop_reply()
    with pytest.raises(StoreTimeout):
        await store.replace(key, b"new", LATER, key.encode())
