"""What SQL holds locked or alters, and what a deadlock takes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import HandlerSocketStore, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable

from ...support.mariadb_server import MIGRATIONS, MariaDBServer, running_mariadb
from ..mysql.control import connect, load, more, query, status, until
from .stores import make_store

pytestmark = pytest.mark.anyio


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
        await asyncio.wait_for(altering, 60)
        before = count

        async def goes_on() -> bool:
            return count > before + 10

        await until(goes_on)
        group.cancel_scope.cancel()
    assert int((await load(store, key)).data) in (count, count + 1)


async def test_a_row_that_sql_has_locked_ends_in_a_timeout_and_hinders_no_reader(
    mariadb: MariaDBServer, sql: Any, key: str, soon: int
) -> None:
    async with make_store(mariadb, timeout=1.5) as store:
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


WAITS = "Innodb_row_lock_waits"
"""The server's count of waits for a row that have begun."""


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
    async with make_store(mariadb, timeout=10, pool_size=1, verify_writes=confirm) as store:
        first, second = (key_of(new_id()) for _ in range(2))
        for key in (second,) if is_new else (first, second):
            await store.create(key, b"old", soon)
        before = await store.load(first)
        write = store.replace(first, b"new", soon, before.version) if before else store.create(first, b"new", soon)
        replace = store.replace(second, b"new", soon, (await load(store, second)).version)
        await query(sql, "BEGIN")  # and does so much that InnoDB, in a deadlock, ends the other one
        await query(sql, f"INSERT INTO other.ballast VALUES {', '.join(['(1)'] * 50)}")
        await query(sql, "SELECT 1 FROM php_session WHERE id = %s FOR UPDATE", second)
        waits = await status(sql, WAITS)
        tasks = [asyncio.create_task(write), asyncio.create_task(replace)]
        await until(lambda: more(sql, WAITS, waits))
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


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    """A server that gives up waiting for a row after a second, which is the least that it takes."""
    with running_mariadb(tmp_path_factory.mktemp("impatient"), "--innodb-lock-wait-timeout=1") as server:
        server.run("CREATE DATABASE fresh")
        server.run((MIGRATIONS / "0001_create.sql").read_text(), "fresh")
        yield server


@pytest.fixture
async def impatient_sql(impatient: MariaDBServer) -> AsyncIterator[Any]:
    connection = await connect(impatient)
    yield connection
    await connection.ensure_closed()


@pytest.mark.parametrize("ends_in_time", [True, False])
async def test_F4_a_wait_for_a_lock_is_tried_again_and_then_told(
    impatient: MariaDBServer, impatient_sql: Any, key: str, soon: int, ends_in_time: bool
) -> None:
    sql = impatient_sql
    async with make_store(impatient, timeout=2.4) as store:
        await store.create(key, b"one", soon)
        row = await load(store, key)
        await query(sql, "BEGIN")
        await query(sql, "SELECT 1 FROM php_session WHERE id = %s FOR UPDATE", key)
        before = await status(sql, WAITS)
        touch = asyncio.create_task(store.touch(key, soon + 60))
        await until(lambda: more(sql, WAITS, before + 1))  # it has given up once, error 146, and waits again
        if ends_in_time:
            await query(sql, "ROLLBACK")
            assert await touch
        else:
            with pytest.raises(SessionUnavailable, match="error 146"):
                await touch
            await query(sql, "ROLLBACK")
            assert await store.load(key) == row


async def test_F4_a_key_that_sql_is_about_to_take(
    impatient: MariaDBServer, impatient_sql: Any, key: str, soon: int
) -> None:
    sql = impatient_sql
    async with make_store(impatient, timeout=2.4) as store:
        await query(sql, "BEGIN")
        await query(sql, "INSERT INTO php_session (id, modified) VALUES (%s, '2001-01-01')", key)
        with pytest.raises(SessionUnavailable, match="error 146"):
            await store.create(key, b"data", soon)
        await query(sql, "ROLLBACK")
        assert await store.create(key, b"data", soon)
