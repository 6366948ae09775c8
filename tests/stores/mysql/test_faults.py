"""Locks, deadlocks and killed connections; a server that crashes or freezes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import asyncmy.errors
import pytest

from starlette_sessions_ext import SessionTooLarge, StoreError, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable, StoreFull
from starlette_sessions_ext.stores.mysql import DatabaseStore
from starlette_sessions_ext.stores.mysql.errors import to_store_error
from starlette_sessions_ext.testing import FakeClock, FaultProxy
from starlette_sessions_ext.testing._ticks import counting_ticks

from ...support.mariadb_server import USER, MariaDBServer
from .control import load, locked, query, status, until, waiting

pytestmark = pytest.mark.anyio


async def test_killed_connections_are_replaced(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"one", soon)
    for _ in range(3):
        ours = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER = %s"
        for (number,) in await query(control, ours, USER):  # and not the threads of HandlerSocket
            with suppress(asyncmy.errors.OperationalError):  # gone already
                await query(control, f"KILL {number}")
        row = await load(store, key)  # noticed by the server's farewell, or by the broken connection
        assert await store.replace(key, row.data + b"+", soon, row.version)
    assert (await load(store, key)).data == b"one+++"


@pytest.mark.parametrize("call", ["create", "replace", "delete"])
async def test_a_statement_killed_while_it_waits_was_not_run(
    store: DatabaseStore, control: Any, key: str, soon: int, call: str
) -> None:
    await store.create(key, b"one", soon)
    row = await load(store, key)
    calls: dict[str, Callable[[], Awaitable[bool]]] = {
        "create": lambda: store.create(key, b"two", soon),
        "replace": lambda: store.replace(key, b"two", soon, row.version),
        "delete": lambda: store.delete(key),
    }

    async def refused() -> None:
        with pytest.raises(StoreUnavailable):
            await calls[call]()

    async with locked(control, key), anyio.create_task_group() as group:
        group.start_soon(refused)
        await until(lambda: waiting(control, 1))
        [(number,)] = await query(
            control, "SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        )
        await query(control, f"KILL {number}")
    assert await store.load(key) == row


async def test_a_row_locked_for_long_ends_in_a_timeout_and_hinders_nobody_else(
    mariadb: MariaDBServer, store: DatabaseStore, control: Any, clock: FakeClock, key: str, soon: int
) -> None:
    async with DatabaseStore(mariadb.url("fresh"), timeout=1, clock=clock) as hasty:
        other = key_of(new_id())
        await store.create(key, b"one", soon)
        await store.create(other, b"one", soon)
        row, other_row = await load(store, key), await load(store, other)
        async with locked(control, key):
            calls: list[Callable[[], Awaitable[bool]]] = [
                lambda: hasty.replace(key, b"two", soon, row.version),
                lambda: hasty.touch(key, soon + 60),
                lambda: hasty.delete(key),
            ]
            for call in calls:
                async with counting_ticks(1 / 20) as ticks:
                    with pytest.raises(StoreTimeout):
                        await call()
                assert ticks.count < 35
                assert await store.load(key) == row
            assert await store.replace(other, b"two", soon, other_row.version)
            await until(lambda: waiting(control, 0))  # the server has given up as well: nothing comes late
        assert await store.load(key) == row
        assert await store.replace(key, b"two", soon, row.version)


async def test_a_wait_for_a_lock_that_ends_in_time_is_no_failure(
    mariadb: MariaDBServer, control: Any, clock: FakeClock, key: str, soon: int
) -> None:
    async with DatabaseStore(mariadb.url("fresh"), timeout=30, clock=clock) as store:
        await store.create(key, b"data", soon)
        touched: list[bool] = []

        async def touch() -> None:
            touched.append(await store.touch(key, soon + 60))

        async with anyio.create_task_group() as group:
            async with locked(control, key):
                group.start_soon(touch)
                await until(lambda: waiting(control, 1))
        assert touched == [True]


async def test_of_a_deadlock_each_has_its_answer(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    """Two that wait to insert what a third takes back: InnoDB lets both read, then stops one of them (error 1213)."""
    results: list[bool] = []

    async def create(data: bytes) -> None:
        results.append(await store.create(key, data, soon))

    before = await status(control, "Innodb_deadlocks")
    async with anyio.create_task_group() as group:
        await query(control, "BEGIN")
        await query(control, "INSERT INTO session_data (session_id, data, created_at) VALUES (%s, 'x', %s)", key, soon)
        group.start_soon(create, b"one")
        group.start_soon(create, b"two")
        await until(lambda: waiting(control, 2))
        await query(control, "ROLLBACK")
    assert sorted(results) == [False, True]
    assert await status(control, "Innodb_deadlocks") == before + 1


async def test_a_frozen_server_ends_in_a_timeout(mariadb: MariaDBServer, control: Any, key: str) -> None:
    async with DatabaseStore(mariadb.url("fresh"), timeout=2) as store:
        with mariadb.frozen(), pytest.raises(StoreTimeout):
            await store.load(key)
        assert await store.load(key) is None


class RequestsLater(FaultProxy):
    """Keeps the client's INSERTs back until `held` is set."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.held: asyncio.Event | None = None
        self.caught = 0

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.held is not None and b"INSERT" in data:
                    self.caught += 1
                    await self.held.wait()
                writer.write(data)
        finally:
            writer.close()  # when it has sent all


async def test_a_cancelled_create_may_take_place_after_a_delete(
    mariadb: MariaDBServer, control: Any, key: str, soon: int
) -> None:
    """As the contract says. What was sent is carried out when it arrives, also where its client has left."""
    async with RequestsLater("127.0.0.1", mariadb.port) as proxy:
        async with DatabaseStore(mariadb.url("fresh", proxy.port)) as store:
            assert await store.load(key) is None
            proxy.held = asyncio.Event()
            creating = asyncio.create_task(store.create(key, b"late", soon))

            async def caught() -> bool:
                return proxy.caught == 1

            await until(caught)
            creating.cancel()
            await asyncio.wait([creating])
            assert not await store.delete(key)
            assert await store.load(key) is None
            proxy.held.set()

            async def there() -> bool:
                return await store.load(key) is not None

            await until(there)


async def test_a_row_locked_for_long_is_no_fault_of_the_server(
    mariadb: MariaDBServer, control: Any, key: str, soon: int
) -> None:
    """The server's own answer (error 1205) comes before the deadline."""
    async with DatabaseStore(mariadb.url("fresh"), timeout=5) as store:
        await store.create(key, b"one", soon)
        row = await load(store, key)
        async with locked(control, key), anyio.create_task_group() as group:
            calls: list[Callable[[], Awaitable[bool]]] = [
                lambda: store.replace(key, b"two", soon, row.version),
                lambda: store.touch(key, soon + 60),
                lambda: store.delete(key),
            ]
            for call in calls:
                group.start_soon(unavailable_session, call)
        assert await store.load(key) == row


async def unavailable_session(call: Callable[[], Awaitable[bool]]) -> None:
    with pytest.raises(SessionUnavailable, match="lock"):
        await call()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((1205, SessionUnavailable), (1213, SessionUnavailable), (1969, StoreTimeout), (1153, SessionTooLarge)),
        *((1290, StoreUnavailable), (1114, StoreFull), (1021, StoreFull), (1030, StoreUnavailable)),
    ],
)
async def test_an_error_is_known_by_its_number_and_without_the_servers_words(code: int, kind: type[StoreError]) -> None:
    error = to_store_error(asyncmy.errors.OperationalError(code, "Duplicate entry 'secret'"), "MySQL at host:3306")
    assert type(error) is kind
    assert str(code) in str(error)
    assert "secret" not in str(error)


async def test_a_disk_that_is_full_is_known_by_the_errno_that_the_server_quotes() -> None:
    words = 'Got error 28 "No space left on device" from storage engine InnoDB'
    assert type(to_store_error(asyncmy.errors.OperationalError(1030, words), "MySQL")) is StoreFull
