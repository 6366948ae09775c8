"""Owners in `php_session`: a table that has no column for them yet, and rows of writers that don't know it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, HandlerSocketStore
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.handlersocket import Client, ServerError, Where
from starlette_sessions_ext.stores.handlersocket import columns, owned_rows
from starlette_sessions_ext.stores.handlersocket.schema_probe import probe_owners
from starlette_sessions_ext.testing import FakeClock

from ...support.mariadb_server import MIGRATIONS, MariaDBServer
from ..mysql.control import load, query
from .stores import make_store

pytestmark = pytest.mark.anyio

ANN, BOB = "a" * 32, "b" * 32
BOTH = pytest.mark.parametrize("over_sql", [False, True], ids=["probing", "SQL"])
OWNER = "owner CHAR(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL"


@pytest.fixture
def table(mariadb: MariaDBServer) -> Iterator[MariaDBServer]:
    """An empty `php_session` in the database `other`, as version 0.1 made it."""
    mariadb.run((MIGRATIONS / "0001_create.sql").read_text(), "other")
    yield mariadb
    mariadb.run("DROP TABLE session_data, php_session", "other")


def store_of(table: MariaDBServer, over_sql: bool) -> HandlerSocketStore:
    return make_store(table, "other", **({"mysql_url": table.url("other")} if over_sql else {}))


@BOTH
async def test_a_table_that_was_not_migrated_serves_sessions_without_owners(
    table: MariaDBServer, caplog: pytest.LogCaptureFixture, key: str, soon: int, over_sql: bool
) -> None:
    """So the package can be upgraded first, one process after another, and the table then."""
    store = store_of(table, over_sql)
    await store.open()
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message for message in messages if "`php_session` has no column `owner`" in message]
    assert await store.create(key, b"one", soon)
    assert await store.replace(key, b"two", soon, (await load(store, key)).version)
    row = await load(store, key)
    assert await store.owner_of(key) is None
    for call in (
        lambda: store.create(key_of(new_id()), b"data", soon, ANN),
        lambda: store.replace(key, b"new", soon, row.version, ANN),
        lambda: store.keys_of(ANN),
        lambda: store.delete_all_of(ANN),
    ):
        with pytest.raises(ConfigurationError, match="ALTER TABLE") as refusal:
            await call()
    assert await load(store, key) == row
    [finding] = [finding for finding in await store.diagnose() if "owner" in finding.problem]
    assert finding.remedy in str(refusal.value)
    await store.aclose()  # or it would wait for the connections
    table.run("ALTER" + str(refusal.value).rpartition("ALTER")[2], "other")
    assert await store.replace(key, b"three", soon, row.version, ANN), "without another store"
    assert await store.keys_of(ANN) == [key]
    assert not [finding for finding in await store.diagnose() if "owner" in finding.problem]
    await store.aclose()


@BOTH
@pytest.mark.parametrize(
    "definition",
    [
        *("INT", "CHAR(31) CHARACTER SET ascii COLLATE ascii_bin"),
        *("CHAR(32) CHARACTER SET ascii", "CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''"),
    ],
)
async def test_a_column_that_holds_something_else_is_no_owner(
    table: MariaDBServer, key: str, soon: int, definition: str, over_sql: bool
) -> None:
    add = f"ADD COLUMN owner {definition}, ADD KEY php_session_owner (owner, id)"
    table.run(f"ALTER TABLE php_session {add}", "other")
    store = store_of(table, over_sql)
    assert await store.create(key, b"data", soon), "as before"
    with pytest.raises(ConfigurationError, match=r"can't hold an owner, or none.*rename that column, then ALTER"):
        await store.keys_of(ANN)
    await store.aclose()
    assert table.run("SELECT id FROM php_session", "other") == f"{key}\n", "what was tried is removed"


@BOTH
@pytest.mark.parametrize("index", ["", ", ADD KEY php_session_owner (owner)"], ids=["none", "without the key"])
async def test_a_table_without_the_index(table: MariaDBServer, key: str, soon: int, index: str, over_sql: bool) -> None:
    table.run(f"ALTER TABLE php_session ADD COLUMN {OWNER}{index}", "other")
    store = store_of(table, over_sql)
    assert await store.create(key, b"data", soon)
    with pytest.raises(ConfigurationError, match=r"no index `php_session_owner` on `owner`, `id`.*ADD KEY") as refusal:
        await store.keys_of(ANN)
    await store.aclose()
    if index:
        table.run("ALTER TABLE php_session DROP KEY php_session_owner", "other")
    table.run("ALTER" + str(refusal.value).rpartition("ALTER")[2], "other")
    assert await store.keys_of(ANN) == []
    await store.aclose()


async def test_rows_of_writers_that_dont_know_the_column_have_no_owner(
    store: HandlerSocketStore, mariadb: MariaDBServer, sql: Any, key: str, clock: FakeClock, soon: int
) -> None:
    """HandlerSocket itself makes it an empty string where it inserts a row without it; SQL makes it NULL."""
    indexes, other = columns.indexes_of("fresh", "php_session"), key_of(new_id())
    modified = columns.to_time(int(clock()))
    client = await Client.connect(
        "127.0.0.1", mariadb.hs_port_wr, secret=mariadb.hs_secret_wr, indexes=indexes.for_writing
    )
    await client.insert(indexes.rows, (key, modified, "data", 1))
    await query(sql, "INSERT INTO php_session (id, modified, data) VALUES (%s, %s, 'data')", other, modified)
    assert {*await query(sql, "SELECT owner FROM php_session")} == {("",), (None,)}
    for one in (key, other):
        assert await store.owner_of(one) is None
        assert await store.replace(one, b"new", soon, (await load(store, one)).version, ANN)
    assert {*await store.keys_of(ANN)} == {key, other}
    assert await client.update(indexes.rows, Where("=", (key,)), (key, modified, "theirs", 1)) == 1
    assert {*await store.keys_of(ANN)} == {key, other}, "they leave it alone"
    await client.aclose()


@pytest.mark.parametrize("count", [0, 1, 3, 6, 7])
async def test_owners_of_many_are_read_in_pages(
    store: HandlerSocketStore, monkeypatch: pytest.MonkeyPatch, soon: int, count: int
) -> None:
    monkeypatch.setattr(owned_rows, "_PAGE", 3)
    keys = {key_of(new_id()) for _ in range(count)}
    for key in keys:
        await store.create(key, b"data", soon, ANN)
    for owner in (BOB, "2" * 32):
        await store.create(key_of(new_id()), b"data", soon, owner)
    assert {*await store.keys_of(ANN)} == keys
    assert await store.delete_all_of(ANN) == count


async def test_keys_that_are_no_sessions_are_not_listed(
    store: HandlerSocketStore, sql: Any, key: str, soon: int
) -> None:
    await store.create(key, b"data", soon, ANN)
    await query(sql, "INSERT INTO php_session (id, modified, owner) VALUES ('PHP', '2035-01-01', %s)", ANN)
    assert await store.keys_of(ANN) == [key]


async def test_the_index_of_owners_is_the_one_that_is_used(mariadb: MariaDBServer, sql: Any, soon: int) -> None:
    """By the server's own counter of rows that it read: five of one owner among a hundred."""
    async with make_store(mariadb) as store:
        for number in range(100):
            await store.create(key_of(new_id()), b"data", soon, ANN if number % 20 == 0 else BOB)
        before = await rows_read(sql)
        assert len(await store.keys_of(ANN)) == 5
        assert await rows_read(sql) - before <= 7


async def rows_read(sql: Any) -> int:
    rows = await query(sql, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_read_key', 'Handler_read_next')")
    return sum(int(value) for _, value in rows)


async def test_another_error_of_the_server_is_no_table_without_owners(mariadb: MariaDBServer) -> None:
    reading = await Client.connect("127.0.0.1", mariadb.hs_port, secret=mariadb.hs_secret)
    writing = await Client.connect("127.0.0.1", mariadb.hs_port_wr, secret=mariadb.hs_secret_wr)
    indexes, table = columns.owner_indexes_of("fresh", "nothing"), columns.indexes_of("fresh", "nothing").table
    with pytest.raises(ServerError, match="open_table"):
        await probe_owners(reading, writing, indexes, table)
    for client in (reading, writing):
        await client.aclose()
