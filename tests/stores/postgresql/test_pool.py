"""The connections of a PostgreSQLStore: how many, for whom, and for how long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import ConfigurationError, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore
from starlette_sessions_ext.stores.postgresql.replacing import Replacement
from starlette_sessions_ext.testing import FakeClock, FaultProxy

from ...support.postgresql_server import PostgreSQLServer
from .control import load, locked, pool, until, waiting

pytestmark = pytest.mark.anyio


class CountingProxy(FaultProxy):
    """Counts what the client sends: each time is the beginning of a round trip."""

    requests = 0

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 20):
                self.requests += 1
                writer.write(data)
        finally:
            writer.transport.abort()


async def test_one_round_trip_for_each_operation(
    postgresql: PostgreSQLServer, control: Any, key: str, soon: int
) -> None:
    async with CountingProxy("127.0.0.1", postgresql.port) as proxy:
        async with PostgreSQLStore(postgresql.url(port=proxy.port)) as store:
            operations: list[Callable[[], Awaitable[Any]]] = [
                lambda: store.create(key, b"one", soon),
                lambda: store.load(key),
                lambda: store.replace(key, b"two", soon, version),
                lambda: store.touch(key, soon + 1),
                lambda: store.keys_of("a" * 32),
                lambda: store.delete_all_of("a" * 32),
                lambda: store.delete(key),
            ]
            for is_prepared in (False, True):
                for operation in operations:
                    version = getattr(await store.load(key), "version", 0)
                    before = proxy.requests
                    await operation()
                    if is_prepared:
                        assert proxy.requests - before == 1


async def test_loads_of_one_turn_share_a_statement(store: PostgreSQLStore, soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(20)]
    for key in keys[1:]:
        await store.create(key, key.encode(), soon)
    asked: list[int] = []
    together = store._load_together

    async def noted(keys: list[str]) -> Any:
        asked.append(len(keys))
        return await together(keys)

    store._loops.get().loads._execute = noted
    absent, *rows = await asyncio.gather(*map(store.load, [*keys, keys[-1]]))
    assert asked == [21]
    assert absent is None
    assert [row.data.decode() for row in rows if row is not None] == [*keys[1:], keys[-1]]


async def test_replaces_of_one_turn_share_a_statement(store: PostgreSQLStore, soon: int) -> None:
    """Each has its own answer, also where two replace one session, or one is stale or large."""
    keys = [key_of(new_id()) for _ in range(10)]
    for key in keys:
        await store.create(key, b"one", soon)
    versions = {key: (await load(store, key)).version for key in keys}
    asked: list[int] = []
    together = store._replace_together

    async def noted(replacements: list[Replacement]) -> Any:
        asked.append(len(replacements))
        return await together(replacements)

    store._loops.get().replaces._execute = noted
    large = b"x" * 20_000
    answers = await asyncio.gather(
        *(store.replace(key, b"two", soon, versions[key]) for key in keys[:8]),
        store.replace(keys[8], b"stale", soon, 5),
        store.replace(keys[9], large, soon, versions[keys[9]]),
        store.replace(keys[0], b"second", soon, versions[keys[0]]),
        store.replace(key_of(new_id()), b"gone", soon, 5),
    )
    assert answers == [True] * 8 + [False, True, False, False]
    assert asked == [11]
    found = [(await load(store, key)).data for key in keys]
    assert found == [b"two"] * 8 + [b"one", large]


async def test_no_more_connections_than_allowed(
    postgresql: PostgreSQLServer, control: Any, key: str, soon: int
) -> None:
    async with FaultProxy("127.0.0.1", postgresql.port) as proxy:
        async with PostgreSQLStore(postgresql.url(port=proxy.port), pool_size=3) as store:
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
async def stalling(postgresql: PostgreSQLServer, control: Any) -> AsyncIterator[StallingProxy]:
    async with StallingProxy("127.0.0.1", postgresql.port) as proxy:
        yield proxy


async def test_an_operation_behind_a_connect_that_stalls_has_time_for_another(
    postgresql: PostgreSQLServer, stalling: StallingProxy, key: str, soon: int
) -> None:
    store = PostgreSQLStore(postgresql.url(port=stalling.port), timeout=3)
    async with store, PostgreSQLStore(postgresql.url()) as other:
        await other.create(key, b"data", soon)
        async with store._connections().acquire():
            stalling.stalling = True
            touching = asyncio.create_task(store.touch(key, soon + 60))
            await until_dialed(stalling)
            stalling.stalling = False
            assert await touching


async def until_dialed(proxy: StallingProxy) -> None:
    before = len(proxy._writers)
    with anyio.fail_after(60):
        while len(proxy._writers) == before:
            await anyio.sleep(0.001)


@pytest.mark.slow
async def test_a_connect_that_stalls_for_all_ends_in_a_timeout(
    postgresql: PostgreSQLServer, stalling: StallingProxy, key: str, soon: int
) -> None:
    stalling.stalling = True
    async with PostgreSQLStore(postgresql.url()) as other:
        store = PostgreSQLStore(postgresql.url(port=stalling.port), timeout=5)  # the last load has to connect in it
        for call in (store.load(key), store.touch(key, soon)):
            with pytest.raises(StoreTimeout):
                await call
        assert await other.load(key) is None
        stalling.stalling = False
        await store.load(key)
        await store.aclose()


async def test_closing_lets_a_running_operation_end(store: PostgreSQLStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"data", soon)
    async with anyio.create_task_group() as group:
        async with locked(control, key):
            group.start_soon(store.touch, key, soon + 60)
            await until(lambda: waiting(control, 1))
            group.start_soon(store.aclose)
            await anyio.wait_all_tasks_blocked()
    assert await control.fetchval("SELECT expires_at FROM sessions") == soon + 60


@pytest.mark.slow
async def test_a_load_on_a_connection_that_a_firewall_has_forgotten_is_asked_once_more(
    postgresql: PostgreSQLServer, control: Any, key: str, soon: int
) -> None:
    """Packets of the connections that were idle vanish, without a word; new ones work."""
    async with FaultProxy("127.0.0.1", postgresql.port) as proxy:
        async with PostgreSQLStore(postgresql.url(port=proxy.port), pool_size=3, timeout=4) as store:
            await store.create(key, b"data", soon)
            async with store._connections().acquire(), store._connections().acquire(), store._connections().acquire():
                assert proxy.connections == 3
            proxy.forget()
            assert (await load(store, key)).data == b"data"
            assert await store.touch(key, soon), "the other idle connections aren't tried"


async def test_a_slow_answer_leaves_the_applications_connections_alone(
    postgresql: PostgreSQLServer, control: Any, key: str
) -> None:
    async with FaultProxy("127.0.0.1", postgresql.port) as proxy:
        async with pool(postgresql, port=proxy.port, max_size=2) as given, PostgreSQLStore(given, timeout=1) as store:
            async with given.acquire() as own:
                pid = await own.fetchval("SELECT pg_backend_pid()")
                proxy.hold_replies()
                with pytest.raises(StoreTimeout):
                    await store.load(key)
                proxy.release()
            async with given.acquire() as one, given.acquire() as other:
                assert pid in [await each.fetchval("SELECT pg_backend_pid()") for each in (one, other)]


@pytest.mark.parametrize("is_given", [False, True])
async def test_a_connection_that_fell_silent_costs_no_place_in_the_pool(
    postgresql: PostgreSQLServer, control: Any, key: str, is_given: bool
) -> None:
    async with FaultProxy("127.0.0.1", postgresql.port) as proxy:
        async with pool(postgresql, port=proxy.port, max_size=1) as given:
            source = given if is_given else postgresql.url(port=proxy.port)
            async with PostgreSQLStore(source, pool_size=1, timeout=1) as store:

                async def answers() -> bool:
                    with suppress(StoreTimeout):
                        return await store.load(key) is None
                    return False

                for _ in range(3):
                    proxy.forget()
                    await until(answers)


@pytest.mark.parametrize("ticks", range(25))
async def test_nobody_loses_a_connection_by_being_cancelled(
    postgresql: PostgreSQLServer, control: Any, key: str, soon: int, ticks: int
) -> None:
    """Whether it was waited for, made, handed over or in use."""
    async with PostgreSQLStore(postgresql.url(), pool_size=2, timeout=30) as store:
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


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_storm_of_cancellations_gives_no_foreign_row_and_takes_no_connection(
    postgresql: PostgreSQLServer, control: Any, soon: int
) -> None:
    size, calls = 5, 10_000
    keys = [key_of(new_id()) for _ in range(50)]
    async with PostgreSQLStore(postgresql.url(), pool_size=size, timeout=30) as store:
        for key in keys:
            await store.create(key, key.encode(), soon)
        versions = {key: (await load(store, key)).version for key in keys}

        async def use(key: str) -> None:
            row = await store.load(key)
            assert row is not None
            assert row.data[:32] == key.encode()
            if random.random() < 0.5:
                await store.replace(key, key.encode() + b"+", soon, row.version)

        for _ in range(calls // len(keys)):
            async with anyio.create_task_group() as group:
                for key in keys:
                    group.start_soon(use, key)
                await anyio.sleep(random.uniform(0, 0.004))
                group.cancel_scope.cancel()
        assert versions.keys() == set(keys)
        async with anyio.create_task_group() as group:
            for key in keys:
                group.start_soon(use, key)
        count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tester' AND state IS NOT NULL"
        assert await control.fetchval(count) <= size + 1
        pools: Any = store._loops.get().connections
        assert pools._pool.get_idle_size() == pools._pool.get_size()


# Pools of the application


async def test_a_given_pool_is_used_and_not_closed(postgresql: PostgreSQLServer, control: Any, key: str) -> None:
    async with pool(postgresql, max_size=2) as given:
        async with PostgreSQLStore(given) as store:
            await store.load(key)
        assert given.get_idle_size() == given.get_size() == 1
        assert await given.fetchval("SELECT 1") == 1


async def test_a_given_pool_that_forgets_is_asked_once_more(
    postgresql: PostgreSQLServer, control: Any, key: str
) -> None:
    async with FaultProxy("127.0.0.1", postgresql.port) as proxy:
        async with pool(postgresql, port=proxy.port) as given, PostgreSQLStore(given, timeout=1) as store:
            proxy.forget()
            assert await store.load(key) is None


async def test_a_given_pool_of_another_loop(postgresql: PostgreSQLServer, control: Any, key: str) -> None:
    async with pool(postgresql) as given:
        store = PostgreSQLStore(given)

        def elsewhere() -> None:
            with pytest.raises(StoreUnavailable, match="another event loop"):
                anyio.run(store.load, key)

        await anyio.to_thread.run_sync(elsewhere)
        assert await store.load(key) is None


async def test_a_given_pool_that_was_closed_or_isnt_ready(postgresql: PostgreSQLServer, key: str) -> None:
    given = pool(postgresql)
    store = PostgreSQLStore(given)
    with pytest.raises(StoreUnavailable, match=r"await create_pool"):
        await store.load(key)
    await given
    assert await store.load(key) is None
    await given.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.load(key)


class NotAPool:
    pass


@pytest.mark.parametrize("given", [None, 5, b"postgresql://", NotAPool()])
async def test_what_isnt_a_pool_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="a postgresql:// URL or a pool of asyncpg"):
        PostgreSQLStore(given)


async def test_a_given_pool_leads_to_a_standby_no_more_than_a_url(
    postgresql: PostgreSQLServer, control: Any, clock: FakeClock, key: str
) -> None:
    async with pool(postgresql, server_settings={"default_transaction_read_only": "on"}) as given:
        with pytest.raises(StoreUnavailable, match="Name the primary"):
            await PostgreSQLStore(given, clock=clock).load(key)
