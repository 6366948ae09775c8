from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from starlette_sessions_ext import ConfigurationError, SQLiteStore, StoreTimeout, StoreUnavailable
from starlette_sessions_ext.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock, StoreContract

pytestmark = pytest.mark.anyio


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        async with SQLiteStore(tmp_path / "sessions.db", clock=clock) as store:
            yield store


async def test_nobody_else_can_read_the_files(tmp_path: Path, key: str, soon: int) -> None:
    old_umask = os.umask(0)
    try:
        async with SQLiteStore(tmp_path / "sessions.db") as store:
            await store.create(key, b"data", soon)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(old_umask)
    assert modes == dict.fromkeys(("sessions.db", "sessions.db-shm", "sessions.db-wal"), 0o600)


@pytest.mark.parametrize("place", ["", ":memory:"])
def test_a_store_needs_a_file(place: str) -> None:
    with pytest.raises(ConfigurationError, match="MemoryStore"):
        SQLiteStore(place)


async def test_a_folder_that_isnt_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await SQLiteStore(tmp_path / "nowhere" / "sessions.db").open()


async def test_a_file_that_isnt_a_database_is_left_alone(tmp_path: Path, key: str) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear Ann, " * 100)
    with pytest.raises(StoreUnavailable, match=r"letter\.txt"):
        await SQLiteStore(path).load(key)
    assert path.read_bytes() == b"Dear Ann, " * 100


async def test_several_stores_open_one_file_at_once(tmp_path: Path, key: str, soon: int) -> None:
    stores = [SQLiteStore(tmp_path / "sessions.db") for _ in range(8)]
    async with anyio.create_task_group() as group:
        for store in stores:
            group.start_soon(store.open)
    assert await stores[0].create(key, b"data", soon)
    for store in stores:
        row = await store.load(key)
        assert row is not None
        assert row.data == b"data"
        await store.aclose()


async def test_a_locked_file_ends_in_a_timeout_and_nothing_is_written(tmp_path: Path, key: str, soon: int) -> None:
    async with SQLiteStore(tmp_path / "sessions.db", timeout=0.2) as store:
        other = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreTimeout, match="locked"):
            await store.create(key, b"data", soon)
        assert await store.load(key) is None, "reading goes on meanwhile"
        other.execute("ROLLBACK")
        other.close()
        assert await store.create(key, b"data", soon)


async def test_waiting_in_line_ends_at_the_deadline_too(tmp_path: Path, soon: int) -> None:
    outcomes: list[str] = []

    async def create() -> None:
        try:
            await store.create(key_of(new_id()), b"data", soon)
            outcomes.append("created")
        except StoreTimeout:
            outcomes.append("timeout")

    async with SQLiteStore(tmp_path / "sessions.db", timeout=0.2) as store:
        other = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(create)
                await anyio.sleep(0.01)
        other.execute("ROLLBACK")
        assert outcomes == ["timeout"] * 5
        assert other.execute("SELECT count(*) FROM starlette_sessions").fetchone() == (0,), "nothing is done later"
        other.close()


async def test_a_failing_call_fails_alone_or_not_at_all(tmp_path: Path, key: str, soon: int) -> None:
    """A full disk, as SQLite tells it: nothing of the batch is acknowledged, and the store goes on."""
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await store.create(key, b"before", soon)
        limit = sqlite3.connect(tmp_path / "sessions.db")
        pages = limit.execute("PRAGMA page_count").fetchone()[0]
        limit.close()
        lines = await store._open()
        lines.writer._connection.execute(f"PRAGMA max_page_count = {pages}")
        row = await store.load(key)
        assert row is not None
        with pytest.raises(StoreUnavailable, match="full"):
            await store.replace(key, b"x" * 1_000_000, soon, row.version)
        assert await store.load(key) == row
        assert await store.replace(key, b"after", soon, row.version)


async def test_a_file_that_somebody_else_is_making_is_waited_for(tmp_path: Path, key: str, soon: int) -> None:
    """SQLite itself doesn't wait while another connection is about to write a file that isn't in WAL mode yet."""
    other = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE other (id)")
    other.execute("BEGIN IMMEDIATE")
    store = SQLiteStore(tmp_path / "sessions.db", timeout=0.2)
    with pytest.raises(StoreTimeout):
        await store.open()
    store = SQLiteStore(tmp_path / "sessions.db", timeout=20)
    async with anyio.create_task_group() as group:
        group.start_soon(store.open)
        await anyio.sleep(0.05)
        other.execute("ROLLBACK")
        other.close()
    assert await store.create(key, b"data", soon)
    await store.aclose()


async def test_a_fault_of_ours_stops_nobody(tmp_path: Path, key: str, soon: int) -> None:
    def fault(connection: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    async with SQLiteStore(tmp_path / "sessions.db") as store:
        with pytest.raises(ZeroDivisionError):
            await store._write(fault)
        assert await store.create(key, b"data", soon)
