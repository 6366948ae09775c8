"""Sessions as rows that SQL and PHP see as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from starlette_sessions_ext import HandlerSocketStore
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.handlersocket.frames import FENCE
from starlette_sessions_ext.stores.handlersocket import columns as rows
from starlette_sessions_ext.testing import FaultProxy

from ...support.mariadb_server import MariaDBServer
from ..mysql.control import load, query
from .stores import make_store

pytestmark = pytest.mark.anyio


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
    """Counts the requests that pass it towards the server."""

    lines = 0

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.lines += data.count(b"\n") - data.count(FENCE)
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


async def test_a_version_tells_whether_a_write_can_have_been_committed() -> None:
    before = rows.first_version()
    mine, theirs = rows.version_after(before), rows.version_after(before)
    assert mine != theirs, "two who follow the same one"
    assert rows.was_rolled_back(before, before, mine), "the old one is still there"
    assert rows.was_rolled_back(theirs, before, mine), "somebody else has followed the old one"
    assert not rows.was_rolled_back(mine, before, mine)
    assert not rows.was_rolled_back(rows.version_after(mine), before, mine), "somebody has followed mine"
    assert 0 <= rows.version_after(2**63 - 1) < 2**63
