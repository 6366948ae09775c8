"""A HandlerSocketStore, its server, and what else is done on it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread
import asyncmy
import pytest

from starlette_sessions_ext import ConfigurationError, HandlerSocketStore, Stored, StoreTimeout, StoreUnavailable
from starlette_sessions_ext.handlersocket import Index, ServerError
from starlette_sessions_ext.ids import key_of, new_id
from starlette_sessions_ext.stores import _handlersocket_rows as rows
from starlette_sessions_ext.stores._handlersocket_errors import as_ours
from starlette_sessions_ext.testing import FakeClock, FaultProxy

from ..mariadb_server import MIGRATIONS, PASSWORD, USER, MariaDBServer, running_mariadb
from .handlersocket_store import make_store

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def sql_connection(server: MariaDBServer) -> AsyncIterator[Any]:
    settings = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD.encode()}
    connection = await asyncmy.connect(**settings, database="fresh", autocommit=True)
    yield connection
    await connection.ensure_closed()


@pytest.fixture
async def sql(mariadb: MariaDBServer) -> AsyncIterator[Any]:
    """A connection of the tests' own, and an empty table."""
    async with sql_connection(mariadb) as connection:
        await query(connection, "DELETE FROM php_session")
        yield connection


@pytest.fixture
async def store(mariadb: MariaDBServer, sql: Any, clock: FakeClock) -> AsyncIterator[HandlerSocketStore]:
    async with make_store(mariadb, clock=clock) as store:
        yield store


async def query(connection: Any, statement: str, *values: object) -> list[Any]:
    cursor = connection.cursor()
    await cursor.execute(statement, values)
    return list(await cursor.fetchall())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(10):
        while not await condition():  # noqa: ASYNC110 - the server tells nobody
            await anyio.sleep(0.01)


async def load(store: HandlerSocketStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


async def test_sql_sees_what_is_written_at_once_and_the_other_way_round(
    store: HandlerSocketStore, sql: Any, key: str, soon: int
) -> None:
    for number in range(50):
        if number == 0:
            await store.create(key, b"0", soon)
        else:
            await store.replace(key, b"%d" % number, soon + number, (await load(store, key)).version)
        [(data, expires_at)] = await query(
            sql, "SELECT data, TIMESTAMPDIFF(SECOND, '1970-01-01', modified) + 3600 FROM php_session WHERE id = %s", key
        )
        assert (data, expires_at) == (str(number), soon + number)
        await query(sql, "UPDATE php_session SET data = %s, version = version + 1 WHERE id = %s", f"sql {number}", key)
        assert (await load(store, key)).data == b"sql %d" % number
    await query(sql, "DELETE FROM php_session")
    assert await store.load(key) is None


class LineProxy(FaultProxy):
    """Counts the lines that pass it towards the server."""

    lines = 0

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.lines += data.count(b"\n")
            writer.write(data)


async def test_one_round_trip_for_each_operation(mariadb: MariaDBServer, sql: Any, key: str, soon: int) -> None:
    async with (
        LineProxy("127.0.0.1", mariadb.hs_port) as reading,
        LineProxy("127.0.0.1", mariadb.hs_port_wr) as writing,
        make_store(mariadb, port=reading.port, port_wr=writing.port) as store,
    ):
        await store.create(key, b"one", soon)
        version = (await load(store, key)).version
        operations: list[tuple[LineProxy, Callable[[], Awaitable[Any]]]] = [
            (reading, lambda: store.load(key)),
            (writing, lambda: store.replace(key, b"two", soon, version)),
            (writing, lambda: store.create(key_of(new_id()), b"new", soon)),
            (writing, lambda: store.touch(key, soon)),
            (writing, lambda: store.delete(key)),
        ]
        for proxy, operation in operations:
            before = reading.lines + writing.lines, proxy.lines
            assert await operation()
            assert (reading.lines + writing.lines, proxy.lines) == (before[0] + 1, before[1] + 1)
        assert reading.connections == writing.connections == 1


@pytest.mark.parametrize("data", [None, "a|i:1;"])
@pytest.mark.parametrize("modified", ["0000-00-00 00:00:00", "2001-01-01 00:00:00", "9999-12-31 23:59:59"])
async def test_the_rows_of_php_are_left_alone(
    store: HandlerSocketStore, sql: Any, key: str, soon: int, data: str | None, modified: str
) -> None:
    await store.create(key, b"ours", soon)
    await query(sql, "SET sql_mode = ''")
    for name in ("4qf1u9g9oi5gfh8e6tdbKJ-,", key[:-1] + "~"):
        await query(sql, "INSERT INTO php_session (id, modified, data) VALUES (%s, %s, %s)", name, modified, data)
    assert [name async for name in store.all_keys()] == [key]
    over = modified < "9"
    assert await store.delete_expired() == (2 if over else 0)
    assert (await load(store, key)).data == b"ours"
    assert await query(sql, "SELECT COUNT(*) FROM php_session") == [(1 if over else 3,)]


async def test_a_row_without_a_time_has_expired(store: HandlerSocketStore, sql: Any, key: str, soon: int) -> None:
    await query(sql, "SET sql_mode = ''")
    await query(sql, "INSERT INTO php_session (id, modified, data) VALUES (%s, '0000-00-00', 'data')", key)
    assert await store.load(key) is None
    assert await store.create(key, b"new", soon)


async def test_a_row_without_data_is_an_empty_one(store: HandlerSocketStore, sql: Any, key: str) -> None:
    await query(sql, "INSERT INTO php_session (id, modified, data) VALUES (%s, '2900-01-01', NULL)", key)
    row = await load(store, key)
    assert (row.data, row.version) == (b"", 0)
    assert await store.replace(key, b"filled", row.expires_at, row.version)
    assert (await load(store, key)).data == b"filled"


async def test_all_sessions_are_listed(store: HandlerSocketStore, soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(2500)]
    await asyncio.gather(*(store.create(key, b"data", soon) for key in keys))
    assert sorted([key async for key in store.all_keys()]) == sorted(keys)


async def alter(mariadb: MariaDBServer, patience: int) -> None:
    statement = f"SET lock_wait_timeout = {patience}; ALTER TABLE php_session ENGINE=InnoDB, FORCE"
    await anyio.to_thread.run_sync(mariadb.run, statement, "fresh")


async def test_a_table_is_altered_while_the_store_is_drained(
    mariadb: MariaDBServer, store: HandlerSocketStore, sql: Any, key: str, soon: int
) -> None:
    """Under requests that go on: they wait meanwhile, and none of them fails."""
    await store.create(key, b"0", soon)
    with pytest.raises(RuntimeError, match="Lock wait timeout"):  # the connections of the store keep the table open
        await alter(mariadb, patience=1)
    count = 0

    async def request() -> None:
        nonlocal count
        while True:
            row = await load(store, key)
            assert await store.replace(key, b"%d" % (count + 1), soon, row.version)
            count += 1

    async def waits() -> bool:
        states = await query(sql, "SELECT State FROM information_schema.PROCESSLIST WHERE Info LIKE 'ALTER%%'")
        return states == [("Waiting for table metadata lock",)]

    async with anyio.create_task_group() as group:
        group.start_soon(request)
        altering = asyncio.create_task(alter(mariadb, patience=30))
        await until(waits)
        await store.drain()
        await asyncio.wait_for(altering, 2)
        before = count

        async def goes_on() -> bool:
            return count > before + 10

        await until(goes_on)
        group.cancel_scope.cancel()
    assert int((await load(store, key)).data) in (count, count + 1)


async def test_F3_what_was_acknowledged_survives_kill_9(
    mariadb: MariaDBServer, store: HandlerSocketStore, soon: int
) -> None:
    acknowledged: dict[str, int] = {}
    sent: dict[str, int] = {}
    restarted = False

    async def write() -> None:
        """Until a write fails, or, where the server was gone between two writes, to the end."""
        key = key_of(new_id())
        with suppress(StoreUnavailable):
            for number in range(1_000_000):
                if restarted:
                    break
                sent[key] = number
                if number == 0:
                    assert await store.create(key, b"0", soon)
                else:
                    assert await store.replace(key, b"%d" % number, soon, (await load(store, key)).version)
                acknowledged[key] = number

    async def enough() -> bool:
        return len(acknowledged) == 8 and sum(acknowledged.values()) > 2000

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(write)
        await until(enough)
        mariadb.stop()
        mariadb.start()
        restarted = True
    for key, number in acknowledged.items():
        assert number <= int((await load(store, key)).data) <= sent[key]


@asynccontextmanager
async def measuring_lag() -> AsyncIterator[list[float]]:
    """How many seconds late this machine was, each time, at waking somebody who slept meanwhile."""
    lag: list[float] = [0.0]

    async def sleep() -> None:
        while True:
            started = time.monotonic()
            await anyio.sleep(0.01)
            lag.append(time.monotonic() - started - 0.01)

    async with anyio.create_task_group() as group:
        group.start_soon(sleep)
        yield lag
        group.cancel_scope.cancel()


async def test_P5_a_frozen_server_ends_in_a_timeout(mariadb: MariaDBServer, sql: Any, key: str, soon: int) -> None:
    async with make_store(mariadb, timeout=0.6) as store:
        await store.create(key, b"data", soon)
        row = await load(store, key)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: store.load(key),
            lambda: store.create(key_of(new_id()), b"new", soon),
            lambda: store.replace(key, b"new", soon, row.version),
            lambda: store.touch(key, soon),
            lambda: store.delete(key, row.version),
            store.delete_expired,
        ]
        with mariadb.frozen():
            for call in calls:
                async with measuring_lag() as lag:
                    started = time.monotonic()
                    with pytest.raises(StoreTimeout):
                        await call()
                    took = time.monotonic() - started
                assert took < 0.6 + 0.1 + max(lag)
        assert await store.load(key_of(new_id())) is None


async def test_a_row_that_sql_has_locked_ends_in_a_timeout_and_hinders_no_reader(
    mariadb: MariaDBServer, sql: Any, key: str, soon: int
) -> None:
    async with make_store(mariadb, timeout=0.6) as store:
        await store.create(key, b"one", soon)
        row = await load(store, key)
        await query(sql, "BEGIN")
        await query(sql, "SELECT 1 FROM php_session WHERE id = %s FOR UPDATE", key)
        with pytest.raises(StoreTimeout):
            await store.touch(key, soon + 60)
        assert await store.load(key) == row
        await query(sql, "ROLLBACK")

        async def touched() -> bool:
            return (await load(store, key)).expires_at > soon

        await until(touched)  # the server had the line, and went on with it
        assert await store.replace(key, b"two", soon, row.version)


async def lock_waits(sql: Any) -> int:
    """How many waits for a row have begun since the server started."""
    [(_, count)] = await query(sql, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")
    return int(count)


@pytest.mark.parametrize("confirm", [False, True])
@pytest.mark.parametrize("is_new", [False, True])
async def test_what_a_deadlock_takes_back_is_noticed_if_writes_are_confirmed(
    mariadb: MariaDBServer, sql: Any, soon: int, is_new: bool, confirm: bool
) -> None:
    """Writes that come together are one transaction of the server's: it answers the first before it commits.

    The second is told of the deadlock, and done again. The first has its answer, and isn't there:
    which is why nothing else may lock several sessions at once.
    """
    mariadb.run("CREATE TABLE IF NOT EXISTS ballast (a INT)", "other")
    async with make_store(mariadb, timeout=10, pool_size=1, confirm_writes=confirm) as store:
        first, second = (key_of(new_id()) for _ in range(2))
        for key in (second,) if is_new else (first, second):
            await store.create(key, b"old", soon)
        before = await store.load(first)
        write = store.replace(first, b"new", soon, before.version) if before else store.create(first, b"new", soon)
        replace = store.replace(second, b"new", soon, (await load(store, second)).version)
        await query(sql, "BEGIN")  # and does so much that InnoDB, in a deadlock, ends the other one
        await query(sql, f"INSERT INTO other.ballast VALUES {', '.join(['(1)'] * 50)}")
        await query(sql, "SELECT 1 FROM php_session WHERE id = %s FOR UPDATE", second)
        waits = await lock_waits(sql)
        tasks = [asyncio.create_task(write), asyncio.create_task(replace)]
        await until(lambda: more_waits(sql, waits))
        await query(sql, "UPDATE php_session SET modified = modified WHERE id = %s", first)
        await query(sql, "ROLLBACK")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1] is True
        assert (await load(store, second)).data == b"new"
        assert await store.load(first) == before
        if confirm:
            assert isinstance(results[0], StoreUnavailable)
            assert "has taken back a write" in str(results[0])
        else:
            assert results[0] is True, "the server's own answer"


async def more_waits(sql: Any, count: int) -> bool:
    return await lock_waits(sql) > count


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    """A server that gives up waiting for a row after a second, which is the least that it takes."""
    with running_mariadb(tmp_path_factory.mktemp("impatient"), "innodb-lock-wait-timeout=1") as server:
        server.run("CREATE DATABASE fresh")
        server.run((MIGRATIONS / "0001_create.sql").read_text(), "fresh")
        yield server


@pytest.mark.parametrize("ends_in_time", [True, False])
async def test_F4_a_wait_for_a_lock_is_tried_again_and_then_told(
    impatient: MariaDBServer, key: str, soon: int, ends_in_time: bool
) -> None:
    async with sql_connection(impatient) as sql, make_store(impatient, timeout=2.4) as store:
        await store.create(key, b"one", soon)
        row = await load(store, key)
        await query(sql, "BEGIN")
        await query(sql, "SELECT 1 FROM php_session WHERE id = %s FOR UPDATE", key)
        before = await lock_waits(sql)
        touch = asyncio.create_task(store.touch(key, soon + 60))
        await until(lambda: more_waits(sql, before + 1))  # it has given up once, error 146, and waits again
        if ends_in_time:
            await query(sql, "ROLLBACK")
            assert await touch
        else:
            with pytest.raises(StoreTimeout, match="error 146"):
                await touch
            await query(sql, "ROLLBACK")
            assert await store.load(key) == row


async def test_F4_a_key_that_sql_is_about_to_take(impatient: MariaDBServer, key: str, soon: int) -> None:
    async with sql_connection(impatient) as sql, make_store(impatient, timeout=2.4) as store:
        await query(sql, "BEGIN")
        await query(sql, "INSERT INTO php_session (id, modified) VALUES (%s, '2001-01-01')", key)
        with pytest.raises(StoreTimeout, match="error 146"):
            await store.create(key, b"data", soon)
        await query(sql, "ROLLBACK")
        assert await store.create(key, b"data", soon)


async def test_a_write_that_never_reached_the_server_is_an_error(
    mariadb: MariaDBServer, sql: Any, key: str, soon: int
) -> None:
    async with FaultProxy("127.0.0.1", mariadb.hs_port_wr) as writing:
        async with make_store(mariadb, port_wr=writing.port, timeout=1) as store:
            await store.create(key, b"data", soon)
            row = await load(store, key)
            writing.refusing = True
            writing.reset()
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: store.create(key_of(new_id()), b"new", soon),
                lambda: store.replace(key, b"new", soon, row.version),
                lambda: store.touch(key, soon + 60),
                lambda: store.delete(key),
            ]
            for call in calls:
                with pytest.raises(StoreUnavailable):
                    await call()
            assert await store.load(key) == row
            writing.refusing = False
            assert await store.replace(key, b"new", soon, row.version)


async def test_the_table_is_looked_at_once_however_many_come_first(mariadb: MariaDBServer, sql: Any, soon: int) -> None:
    async with LineProxy("127.0.0.1", mariadb.hs_port_wr) as writing:
        store = make_store(mariadb, port_wr=writing.port, pool_size=1)
        await store.open()
        alone = writing.lines
        await store.aclose()
        another = make_store(mariadb, port_wr=writing.port, pool_size=1)
        created = await asyncio.gather(*(another.create(key_of(new_id()), b"data", soon) for _ in range(10)))
        await another.aclose()
        assert (created, writing.lines) == ([True] * 10, 2 * alone + 10)


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        ("149", StoreTimeout, "waiting for a lock"),
        ("120", StoreUnavailable, r"error 1 120"),
        ("fld", ConfigurationError, "ALTER TABLE `a`.`b`"),
    ],
)
async def test_errors_of_the_server_are_told_as_ours(reason: str, kind: type[Exception], words: str) -> None:
    error = as_ours(ServerError(1, reason), "db", Index(0, "a", "b", "PRIMARY", ("id",)))
    assert type(error) is kind
    assert re.search(words, str(error))


async def test_a_version_tells_whether_a_write_can_have_been_committed() -> None:
    before = rows.first_version()
    mine, theirs = rows.version_after(before), rows.version_after(before)
    assert mine != theirs, "two who follow the same one"
    assert rows.is_taken_back(before, before, mine), "the old one is still there"
    assert rows.is_taken_back(theirs, before, mine), "somebody else has followed the old one"
    assert not rows.is_taken_back(mine, before, mine)
    assert not rows.is_taken_back(rows.version_after(mine), before, mine), "somebody has followed mine"
    assert 0 <= rows.version_after(2**63 - 1) < 2**63


async def test_closing_ends_who_waits_for_a_connection(mariadb: MariaDBServer, key: str) -> None:
    store = make_store(mariadb)
    await store.open()
    await store.drain(hold=0.5)
    failures: list[str] = []

    async def wait() -> None:
        with pytest.raises(StoreUnavailable) as failure:
            await store.load(key)
        failures.append(str(failure.value))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await store.aclose()
    assert len(failures) == 2
