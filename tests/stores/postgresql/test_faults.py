"""Locks, deadlocks and ended connections; a server that crashes, freezes, or becomes another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore
from starlette_sessions_ext.testing import FakeClock, FaultProxy

from ...support.postgresql_server import MIGRATIONS, PostgreSQLServer, running_postgresql, running_standby
from .control import connect, load, locked, until, waiting

pytestmark = pytest.mark.anyio

MIGRATION = (MIGRATIONS / "0001_create.sql").read_text()
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tester' AND pid <> pg_backend_pid()"
)


async def test_ended_connections_are_replaced(store: PostgreSQLStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"one", soon)
    for _ in range(3):
        await control.execute(TERMINATE)
        await until(lambda: alone(control))
        row = await load(store, key)
        assert await store.replace(key, row.data + b"+", soon, row.version)
    assert (await load(store, key)).data == b"one+++"


async def alone(control: Any) -> bool:
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tester'"
    return bool(await control.fetchval(count) == 1)


@pytest.mark.parametrize("call", ["create", "replace", "touch", "delete"])
async def test_a_statement_whose_connection_is_ended_while_it_waits_was_not_run(
    store: PostgreSQLStore, control: Any, key: str, soon: int, call: str
) -> None:
    await store.create(key, b"one", soon)
    row = await load(store, key)
    calls: dict[str, Callable[[], Awaitable[bool]]] = {
        "create": lambda: store.create(key, b"two", soon),
        "replace": lambda: store.replace(key, b"two", soon, row.version),
        "touch": lambda: store.touch(key, soon + 60),
        "delete": lambda: store.delete(key),
    }

    async def refused() -> None:
        with pytest.raises(StoreUnavailable, match="connection was lost"):
            await calls[call]()

    async with locked(control, key), anyio.create_task_group() as group:
        group.start_soon(refused)
        await until(lambda: waiting(control, 1))
        await control.execute(f"{TERMINATE} AND wait_event_type = 'Lock'")
    assert await store.load(key) == row


async def test_a_row_locked_for_long_is_no_fault_of_the_server(
    postgresql: PostgreSQLServer, control: Any, clock: FakeClock, key: str, soon: int
) -> None:
    """The server's own answer comes before the deadline, and nothing is left that could come late."""
    async with PostgreSQLStore(postgresql.url(), timeout=2, clock=clock) as store:
        other = key_of(new_id())
        await store.create(key, b"one", soon)
        await store.create(other, b"one", soon)
        row, other_row = await load(store, key), await load(store, other)

        async def unavailable(call: Callable[[], Awaitable[bool]]) -> None:
            with pytest.raises(SessionUnavailable, match="lock"):
                await call()

        async with locked(control, key):
            async with anyio.create_task_group() as group:
                calls: list[Callable[[], Awaitable[bool]]] = [
                    lambda: store.create(key, b"two", soon),
                    lambda: store.replace(key, b"two", soon, row.version),
                    lambda: store.touch(key, soon + 60),
                    lambda: store.delete(key),
                    lambda: store.delete(key, row.version),
                ]
                for call in calls:
                    group.start_soon(unavailable, call)
            assert await waiting(control, 0)
            assert await store.load(key) == row
            assert await store.replace(other, b"two", soon, other_row.version)
        assert await store.load(key) == row
        assert await store.replace(key, b"two", soon, row.version)


async def test_a_locked_row_keeps_none_waiting_that_share_its_statement(
    store: PostgreSQLStore, control: Any, soon: int
) -> None:
    keys = [key_of(new_id()) for _ in range(10)]
    for key in keys:
        await store.create(key, b"one", soon)
    versions = {key: (await load(store, key)).version for key in keys}
    done: dict[str, bool] = {}

    async def replace(key: str) -> None:
        done[key] = await store.replace(key, b"two", soon, versions[key])

    async with anyio.create_task_group() as group:
        async with locked(control, keys[3]):
            for key in keys:
                group.start_soon(replace, key)
            with anyio.fail_after(60):
                while len(done) < len(keys) - 1:
                    await anyio.sleep(0.001)
            assert keys[3] not in done
            await until(lambda: waiting(control, 1))
    assert done == dict.fromkeys(keys, True)


async def test_a_wait_for_a_lock_that_ends_in_time_is_no_failure(
    postgresql: PostgreSQLServer, control: Any, clock: FakeClock, key: str, soon: int
) -> None:
    async with PostgreSQLStore(postgresql.url(), timeout=30, clock=clock) as store:
        await store.create(key, b"data", soon)
        touched: list[bool] = []

        async def touch() -> None:
            touched.append(await store.touch(key, soon + 60))

        async with anyio.create_task_group() as group:
            async with locked(control, key):
                group.start_soon(touch)
                await until(lambda: waiting(control, 1))
        assert touched == [True]


async def test_a_locked_table_ends_in_a_timeout_and_leaves_no_statement_behind(
    postgresql: PostgreSQLServer, control: Any, key: str, soon: int
) -> None:
    """As ALTER TABLE locks it: such a wait comes before the statement can say how long it waits."""
    async with PostgreSQLStore(postgresql.url(), timeout=1) as store:
        await store.create(key, b"data", soon)
        async with control.transaction():
            await control.execute("LOCK TABLE sessions")
            for call in (lambda: store.touch(key, soon), lambda: store.load(key)):
                with pytest.raises(StoreTimeout):
                    await call()
            await until(lambda: waiting(control, 0))
        assert await store.load(key) is not None


async def test_of_a_deadlock_each_has_its_answer(
    postgresql: PostgreSQLServer, control: Any, key: str, soon: int
) -> None:
    """Another program locks an owner's rows in another order. The server undoes the store's, which is retried."""
    owner, other = "a" * 32, key_of(new_id())
    async with PostgreSQLStore(postgresql.url(), timeout=30) as store:
        for one in sorted((key, other)):
            await store.create(one, b"one", soon, owner)
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'fresh'"
        before = await control.fetchval(deadlocks)
        rival = await connect(postgresql)
        await rival.execute("SET deadlock_timeout = '60s'")  # so that the store's is the one that is undone
        removed: list[int] = []

        async def end() -> None:
            removed.append(await store.delete_all_of(owner))

        first, second = [one for (one,) in await control.fetch("SELECT key FROM sessions WHERE owner = $1", owner)]
        async with anyio.create_task_group() as group:
            async with rival.transaction():
                await rival.execute("SELECT 1 FROM sessions WHERE key = $1 FOR UPDATE", second)
                group.start_soon(end)
                await until(lambda: waiting(control, 1))
                await rival.execute("SELECT 1 FROM sessions WHERE key = $1 FOR UPDATE", first)
        await rival.close()
        assert removed == [2]

        async def counted() -> bool:
            return bool(await control.fetchval(deadlocks) > before)  # those of earlier tests may be counted late

        await until(counted)


async def test_a_frozen_server_ends_in_a_timeout(postgresql: PostgreSQLServer, control: Any, key: str) -> None:
    async with PostgreSQLStore(postgresql.url(), timeout=1) as store:
        with postgresql.frozen():
            with pytest.raises(StoreTimeout):
                await store.load(key)
            with pytest.raises(StoreTimeout):
                await store.delete(key)
        assert await store.load(key) is None


async def test_closing_while_the_server_is_frozen_ends(postgresql: PostgreSQLServer, key: str) -> None:
    store = PostgreSQLStore(postgresql.url(), timeout=0.5)
    await store.load(key)
    with postgresql.frozen(), anyio.fail_after(60):
        await store.aclose()


async def test_a_server_that_was_killed_serves_again_at_once(key: str, soon: int) -> None:
    with running_postgresql() as server:
        server.run(MIGRATION)
        async with PostgreSQLStore(server.url()) as store:
            await store.create(key, b"data", soon)
            server.stop()
            with pytest.raises(StoreUnavailable):
                await store.load(key)
            server.start()
            assert (await load(store, key)).data == b"data"


async def test_a_failover_by_promote(key: str, soon: int) -> None:
    """A standby is refused, and after its promotion found by a URL of both."""
    with running_postgresql("-c", "wal_level=replica") as primary, running_standby(primary) as standby:
        primary.run(MIGRATION)
        await until(lambda: replicated(standby))
        alone = PostgreSQLStore(standby.url())
        calls: list[Callable[[], Awaitable[object]]] = [alone.open, lambda: alone.load(key)]
        for call in calls:
            with pytest.raises(StoreUnavailable, match=r"standby, or read-only. Name the primary"):
                await call()
        await alone.aclose()
        both = primary.url().replace(f"127.0.0.1:{primary.port}", f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}")
        async with PostgreSQLStore(both) as store:
            await store.create(key, b"data", soon)
            row = await load(store, key)
            await until(lambda: has_row(standby))
            primary.stop()
            standby.run("SELECT pg_promote()")
            assert await store.load(key) == row
            assert await store.replace(key, b"new", soon, row.version)


async def replicated(standby: PostgreSQLServer) -> bool:
    return standby.run("SELECT to_regclass('sessions') IS NOT NULL") == "t\n"


async def has_row(standby: PostgreSQLServer) -> bool:
    return standby.run("SELECT count(*) FROM sessions") == "1\n"


async def test_a_server_that_turns_read_only_is_left_for_another(
    postgresql: PostgreSQLServer, store: PostgreSQLStore, control: Any, key: str, soon: int
) -> None:
    """Connections that were made before a failover may lead to what is a standby now."""
    await store.create(key, b"data", soon)
    async with FaultProxy("127.0.0.1", postgresql.port) as proxy:
        async with PostgreSQLStore(postgresql.url(port=proxy.port)) as proxied:
            await proxied.load(key)
            async with proxied._connections().acquire() as connection:
                await connection.execute("SET default_transaction_read_only = on")
            with pytest.raises(StoreUnavailable, match=r"25006.*Name the primary"):
                await proxied.touch(key, soon + 60)
            assert await proxied.touch(key, soon + 60)
            assert proxy.connections == 2


class RequestsLater(FaultProxy):
    """Keeps the client's bytes back while `held` is set, if they hold `marker`."""

    marker = b""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.held: asyncio.Event | None = None
        self.caught = 0

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.held is not None and self.marker in data:
                    self.caught += 1
                    await self.held.wait()
                writer.write(data)
        finally:
            writer.close()  # when it has sent all


async def test_a_create_that_was_given_up_may_take_place_after_a_delete(
    postgresql: PostgreSQLServer, control: Any, key: str, soon: int
) -> None:
    """As the contract says. What was sent is carried out when it arrives, also where its client has left."""
    async with RequestsLater("127.0.0.1", postgresql.port) as proxy:
        async with (
            PostgreSQLStore(postgresql.url(port=proxy.port), timeout=1) as store,
            PostgreSQLStore(postgresql.url()) as other,
        ):
            await store.create(key_of(new_id()), b"data", soon)  # prepares the statement
            proxy.marker, proxy.held = key.encode(), asyncio.Event()
            with pytest.raises(StoreTimeout):
                await store.create(key, b"late", soon)
            assert proxy.caught
            assert not await other.delete(key)
            assert await other.load(key) is None
            proxy.held.set()

            async def there() -> bool:
                return await other.load(key) is not None

            await until(there)
