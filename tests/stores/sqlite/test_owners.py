"""Owners in an SQLite file: one that an earlier version made, or has open, and how they are found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from starlette_sessions_ext import SQLiteStore, StoreTimeout
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.sqlite import statements
from starlette_sessions_ext.testing import FakeClock

from ...support.trio_in_full import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio

ANN, BOB = "a" * 32, "b" * 32

# What version 0.1 sends.
OLD_SCHEMA = """
CREATE TABLE starlette_sessions (
    key TEXT NOT NULL PRIMARY KEY, data BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER NOT NULL
);
CREATE INDEX starlette_sessions_expires_at ON starlette_sessions (expires_at);
"""
OLD_CREATE = (
    "INSERT INTO starlette_sessions (key, data, version, expires_at) VALUES (?, ?, 1, ?) ON CONFLICT DO NOTHING"
)
OLD_REPLACE = "UPDATE starlette_sessions SET data = ?, version = version + 1, expires_at = ? WHERE key = ?"


@pytest.fixture
def old_path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def old(old_path: Path) -> Iterator[sqlite3.Connection]:
    """A process of an earlier version, which made the file and keeps it open."""
    with closing(sqlite3.connect(old_path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(OLD_SCHEMA)
        yield db


@pytest.mark.parametrize("must_exist", [False, True])
async def test_rows_of_an_earlier_version_have_no_owner_until_they_are_written(
    old: sqlite3.Connection, old_path: Path, clock: FakeClock, key: str, soon: int, must_exist: bool
) -> None:
    old.execute(OLD_CREATE, (key, b"old", soon))
    async with SQLiteStore(old_path, clock=clock, must_exist=must_exist) as store:
        row = await store.load(key)
        assert row is not None
        assert row.data == b"old"
        assert await store.owner_of(key) is None
        assert await store.replace(key, b"new", soon, row.version, ANN)
        assert await store.keys_of(ANN) == [key]
        assert await store.delete_all_of(ANN) == 1


async def test_an_earlier_version_that_has_the_file_open_goes_on(
    old: sqlite3.Connection, old_path: Path, clock: FakeClock, key: str, soon: int
) -> None:
    other = key_of(new_id())
    old.execute(OLD_CREATE, (key, b"one", soon))
    async with SQLiteStore(old_path, clock=clock) as store:
        row = await store.load(key)
        assert row is not None
        assert await store.replace(key, b"two", soon, row.version, ANN)
        assert old.execute(OLD_CREATE, (other, b"of the old version", soon)).rowcount == 1
        assert old.execute(OLD_REPLACE, (b"three", soon, key)).rowcount == 1
        row = await store.load(other)
        assert row is not None
        assert row.data == b"of the old version"
        assert await store.owner_of(other) is None
        assert await store.keys_of(ANN) == [key], "it doesn't know the column, and leaves it alone"


async def test_many_open_a_file_of_an_earlier_version_at_once(
    old: sqlite3.Connection, old_path: Path, clock: FakeClock, key: str, soon: int
) -> None:
    stores = [SQLiteStore(old_path, clock=clock, timeout=20) for _ in range(8)]
    async with anyio.create_task_group() as group:
        for store in stores:
            group.start_soon(store.open)
    assert await stores[0].create(key, b"data", soon, ANN)
    for store in stores:
        assert await store.keys_of(ANN) == [key]
        await store.aclose()


async def test_a_file_of_an_earlier_version_that_stays_locked_is_left_as_it_is(
    old: sqlite3.Connection, old_path: Path, key: str, soon: int
) -> None:
    old.execute("BEGIN IMMEDIATE")
    store = SQLiteStore(old_path, timeout=0.2)
    with pytest.raises(StoreTimeout, match="locked"):
        await store.open()
    old.execute("ROLLBACK")
    assert [name for _, name, *_ in old.execute("PRAGMA table_info(starlette_sessions)")] == [
        *("key", "data", "version", "expires_at")
    ]
    async with store:
        assert await store.create(key, b"data", soon, ANN)


async def test_a_file_without_the_index_gets_it(tmp_path: Path, clock: FakeClock, key: str, soon: int) -> None:
    """As after a crash of a program that copied the table, and not its indexes."""
    path = tmp_path / "sessions.db"
    async with SQLiteStore(path, clock=clock) as store:
        await store.create(key, b"data", soon, ANN)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP INDEX starlette_sessions_owner")
    async with SQLiteStore(path, clock=clock):
        assert "starlette_sessions_owner" in plan_of(path, statements.KEYS_OF, ANN, 0)


async def test_owners_are_found_by_their_index_and_their_rows_by_key(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with SQLiteStore(path):
        assert "USING INDEX starlette_sessions_owner (owner=?)" in plan_of(path, statements.KEYS_OF, ANN, 0)
        assert "(key=?)" in plan_of(path, statements.DELETE_OWNED, "k", ANN, 0)
        assert "(key=?)" in plan_of(path, statements.OWNER, "k", 0)


@pytest.mark.parametrize("owner", ["7", "'ann'", f"x'{ANN.encode().hex()}'"])
async def test_what_another_program_wrote_as_an_owner_is_none(
    tmp_path: Path, clock: FakeClock, key: str, soon: int, owner: str
) -> None:
    path = tmp_path / "sessions.db"
    async with SQLiteStore(path, clock=clock) as store:
        await store.create(key, b"data", soon, ANN)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"UPDATE starlette_sessions SET owner = {owner}")
        assert await store.owner_of(key) is None
        assert await store.keys_of(ANN) == []
        assert await store.load(key) is not None


async def test_rows_that_are_no_sessions_are_not_listed(tmp_path: Path, clock: FakeClock, key: str, soon: int) -> None:
    path = tmp_path / "sessions.db"
    async with SQLiteStore(path, clock=clock) as store:
        await store.create(key, b"data", soon, ANN)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for name, expires_at in (("'no key'", soon), (f"'{key_of(new_id())}'", "'tomorrow'"), ("x'00'", soon)):
                db.execute(f"INSERT INTO starlette_sessions VALUES ({name}, x'00', 1, {expires_at}, '{ANN}')")
        assert await store.keys_of(ANN) == [key]
        assert await store.delete_all_of(ANN) == 1


def plan_of(path: Path, statement: str, *values: object) -> str:
    with closing(sqlite3.connect(path)) as db:
        return " ".join(row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values))
