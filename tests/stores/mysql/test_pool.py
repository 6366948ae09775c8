"""The connections of a DatabaseStore: how many, for whom, and for how long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.mysql import DatabaseStore
from starlette_sessions_ext.stores.mysql.pool import OwnedPool
from starlette_sessions_ext.stores.mysql.url import settings_of
from starlette_sessions_ext.testing import FaultProxy

from ...support.mariadb_server import MariaDBServer
from .control import load, locked, query, status, until, waiting

pytestmark = pytest.mark.anyio


async def test_one_round_trip_for_each_operation(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"one", soon)
    version = (await load(store, key)).version
    operations: dict[str, Callable[[], Awaitable[Any]]] = {
        "Com_select": lambda: store.load(key),
        "Com_update": lambda: store.replace(key, b"two", soon, version),
        "Com_insert": lambda: store.create(key_of(new_id()), b"new", soon),
        "Com_delete": lambda: store.delete(key),
    }
    for name, operation in operations.items():
        questions, commands = await status(control, "Questions"), await status(control, name)
        assert await operation()
        assert await status(control, "Questions") - questions == 1 + 2, "what was asked, and two of these"
        assert await status(control, name) - commands == 1
    questions = await status(control, "Questions")
    assert not await store.touch(key, soon)
    assert await status(control, "Questions") - questions == 1 + 1


async def test_loads_of_one_turn_share_a_statement(store: DatabaseStore, control: Any, soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(20)]
    for key in keys[1:]:
        await store.create(key, key.encode(), soon)
    selects = await status(control, "Com_select")
    absent, *rows = await asyncio.gather(*map(store.load, [*keys, keys[-1]]))
    assert await status(control, "Com_select") - selects == 1
    assert absent is None
    assert [row.data.decode() for row in rows if row is not None] == [*keys[1:], keys[-1]]


async def test_no_more_connections_than_allowed(mariadb: MariaDBServer, control: Any, key: str, soon: int) -> None:
    async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
        async with DatabaseStore(mariadb.url("fresh", proxy.port), pool_size=3) as store:
            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(store.touch, key, soon)
            assert proxy.connections <= 3


class StallingProxy(FaultProxy):
    """Takes new connections, and says nothing to them."""

    stalling = False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.stalling:
            self._writers.add(writer)
        else:
            super()._accept(reader, writer)


@pytest.fixture
async def stalling(mariadb: MariaDBServer, control: Any) -> AsyncIterator[StallingProxy]:
    async with StallingProxy("127.0.0.1", mariadb.port) as proxy:
        yield proxy


async def test_a_stalled_connect_blocks_nobody_else(
    mariadb: MariaDBServer, stalling: StallingProxy, key: str, soon: int
) -> None:
    """Who asked for a connection that never comes gets the next one that is given back."""
    async with DatabaseStore(mariadb.url("fresh", stalling.port), timeout=1000) as store:
        stalling.stalling = True
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(store.touch, key, soon)
            for _ in range(20):
                assert await store.load(key) is None


async def test_a_connect_that_stalls_for_all_ends_in_a_timeout(
    mariadb: MariaDBServer, stalling: StallingProxy, key: str
) -> None:
    stalling.stalling = True
    async with DatabaseStore(mariadb.url("php", mariadb.port)) as other:
        store = DatabaseStore(mariadb.url("fresh", stalling.port), timeout=2)
        with pytest.raises(StoreTimeout):
            await store.load(key)
        assert await other.load(key) is None
        stalling.stalling = False
        await store.load(key)
        await store.aclose()


async def test_who_waits_behind_a_connect_that_stalls_has_time_for_another(
    mariadb: MariaDBServer, stalling: StallingProxy, key: str, soon: int
) -> None:
    store = DatabaseStore(mariadb.url("fresh", stalling.port), pool_size=1, timeout=6)

    async def touch() -> None:
        with pytest.raises(StoreTimeout):
            await store.touch(key, soon)

    async def connecting() -> bool:
        return bool(stalling._writers)

    stalling.stalling = True
    async with anyio.create_task_group() as group:
        group.start_soon(touch)
        await until(connecting)
        stalling.stalling = False
        assert await store.load(key) is None
    await store.aclose()


async def test_closing_ends_who_waits_for_a_connection(
    mariadb: MariaDBServer, stalling: StallingProxy, key: str, soon: int
) -> None:
    store = DatabaseStore(mariadb.url("fresh", stalling.port), pool_size=1, timeout=1000)
    stalling.stalling = True
    failures: list[StoreUnavailable] = []

    async def fail(operation: Awaitable[object]) -> None:
        with pytest.raises(StoreUnavailable, match="closed") as failure:
            await operation
        failures.append(failure.value)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(fail, store.load(key))
            group.start_soon(fail, store.touch(key, soon))
            await anyio.wait_all_tasks_blocked()
            await store.aclose()
    assert len(failures) == 2


async def test_closing_lets_a_running_operation_end(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"data", soon)
    async with locked(control, key), anyio.create_task_group() as group:
        group.start_soon(store.touch, key, soon + 60)
        await until(lambda: waiting(control, 1))
        await store.aclose()
        await query(control, "ROLLBACK")
    assert await query(control, "SELECT modified_at FROM session_data") == [(soon + 60 - 1209600,)]


async def test_a_connection_idle_for_long_is_replaced(
    mariadb: MariaDBServer, control: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
        async with DatabaseStore(mariadb.url("fresh", proxy.port)) as store:
            await store.load(key)
            assert proxy.connections == 1
            monkeypatch.setattr("starlette_sessions_ext.stores.mysql.pool._IDLE_SECONDS", 0.0)
            await store.load(key)
            assert proxy.connections == 2


@pytest.mark.slow
async def test_a_load_on_a_connection_that_a_firewall_has_forgotten_is_asked_once_more(
    mariadb: MariaDBServer, control: Any, key: str, soon: int
) -> None:
    """Packets of the connections that were idle vanish, without a word; new ones work."""
    async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
        async with DatabaseStore(mariadb.url("fresh", proxy.port), pool_size=3) as store:
            await store.create(key, b"data", soon)
            connections = store._current()
            async with connections.acquire(), connections.acquire(), connections.acquire():
                assert proxy.connections == 3
            proxy.forget()
            assert (await load(store, key)).data == b"data"
            assert await store.touch(key, soon), "the other idle connections aren't tried"
            assert proxy.connections == 4


async def test_the_system_probes_a_silent_connection(store: DatabaseStore, mariadb: MariaDBServer) -> None:
    connections = OwnedPool(settings_of(mariadb.url("fresh")), size=1, timeout=1)
    async with connections.acquire() as connection:
        sock = cast(Any, connection)._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    await connections.aclose()


@pytest.mark.parametrize("ticks", range(30))
async def test_nobody_loses_a_connection_by_being_cancelled(
    mariadb: MariaDBServer, control: Any, key: str, soon: int, ticks: int
) -> None:
    """Whether it was waited for, being made, handed over or in use."""
    async with DatabaseStore(mariadb.url("fresh"), pool_size=2, timeout=30) as store:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(store.load, key)
                    group.start_soon(store.touch, key, soon)
                for _ in range(ticks):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(store.touch, key, soon)


async def test_a_connection_handed_to_somebody_who_just_left_goes_to_the_next(mariadb: MariaDBServer) -> None:
    connections = OwnedPool(settings_of(mariadb.url("fresh")), size=1, timeout=30)

    async def use() -> None:
        async with connections.acquire():
            raise AssertionError("it was cancelled before")

    async with connections.acquire() as first:
        task = asyncio.create_task(use())
        await anyio.wait_all_tasks_blocked()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    async with connections.acquire() as second:
        assert second is first
    await connections.aclose()


async def test_a_connection_that_closes_as_it_is_made_counts_as_reset(
    mariadb: MariaDBServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncmy on uvloop raises RuntimeError then, which only the moment decides: here it always does."""

    async def closing(**settings: Any) -> None:
        raise RuntimeError("unable to perform operation on a closed transport")

    monkeypatch.setattr("starlette_sessions_ext.stores.mysql.pool.connect", closing)
    store = DatabaseStore(mariadb.url("fresh"), timeout=1)
    with pytest.raises(StoreUnavailable, match="ConnectionResetError"):
        await store.load(key)
    await store.aclose()


async def test_a_dial_that_fails_fails_nobody_who_came_after_its_request_left(
    mariadb: MariaDBServer, stalling: StallingProxy
) -> None:
    connections = OwnedPool(settings_of(mariadb.url("fresh", stalling.port)), size=1, timeout=10)

    async def ask() -> list[Any]:
        async with connections.acquire() as connection:
            return await query(connection, "SELECT 1")

    async def connecting() -> bool:
        return bool(stalling._writers)

    stalling.stalling = True
    first = asyncio.create_task(ask())
    await until(connecting)
    first.cancel()  # its deadline has passed
    await asyncio.wait([first])
    second = asyncio.create_task(ask())
    await anyio.wait_all_tasks_blocked()  # it waits for the same connection: no other is allowed
    stalling.stalling = False
    stalling.reset()
    assert await second == [(1,)]
    await connections.aclose()
