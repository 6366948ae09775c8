from __future__ import annotations

import os
import queue
import random
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import ConfigurationError, SQLiteStore, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.sqlite import checkpointer
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
    async with SQLiteStore(tmp_path / "sessions.db", timeout=1) as store:
        other = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreTimeout, match="locked"):
            await store.create(key, b"data", soon)
        assert await store.load(key) is None, "reading goes on"
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

    async with SQLiteStore(tmp_path / "sessions.db", timeout=1) as store:
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


async def test_what_expires_while_a_change_waits_for_the_file_is_absent_to_it(
    tmp_path: Path, clock: FakeClock, key: str
) -> None:
    now = int(clock())
    outcomes: list[bool] = []

    async def change(call: Callable[[], Awaitable[bool]]) -> None:
        outcomes.append(await call())

    async with SQLiteStore(tmp_path / "sessions.db", clock=clock) as store:
        await store.create(key, b"data", now + 60)
        row = await store.load(key)
        assert row is not None
        with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                group.start_soon(change, lambda: store.replace(key, b"new", now + 600, row.version))
                group.start_soon(change, lambda: store.touch(key, now + 600))
                group.start_soon(change, lambda: store.delete(key))
                group.start_soon(change, lambda: store.delete(key, row.version))
                await anyio.sleep(0.1)  # they wait, and whether they do can't be seen
                clock.advance(60)
                other.execute("ROLLBACK")
    assert outcomes == [False] * 4


async def test_who_leaves_before_the_work_began_takes_nobody_along(tmp_path: Path, soon: int) -> None:
    """Who is first in line works for all who wait, unless they are cancelled just then."""
    created: list[bool] = []
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        other = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        first = anyio.CancelScope()

        async def create(scope: anyio.CancelScope) -> None:
            with scope:
                created.append(await store.create(key_of(new_id()), b"data", soon))

        async with anyio.create_task_group() as group:
            group.start_soon(create, anyio.CancelScope())  # at work until the other process has done
            await anyio.wait_all_tasks_blocked()
            for scope in (first, anyio.CancelScope(), anyio.CancelScope()):
                group.start_soon(create, scope)
                await anyio.wait_all_tasks_blocked()
            other.execute("ROLLBACK")
            while store._writer._queue().waiting:
                await anyio.lowlevel.checkpoint()
            first.cancel()
        other.close()
        assert created in ([True] * 3, [True] * 4)


async def test_a_failing_call_fails_alone_or_not_at_all(tmp_path: Path, key: str, soon: int) -> None:
    """A full disk, as SQLite tells it: nothing of the batch is acknowledged, and the store goes on."""
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await store.create(key, b"before", soon)
        limit = sqlite3.connect(tmp_path / "sessions.db")
        pages = limit.execute("PRAGMA page_count").fetchone()[0]
        limit.close()
        await store._write(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
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
    store = SQLiteStore(tmp_path / "sessions.db", timeout=1)
    with pytest.raises(StoreTimeout):
        await store.open()
    store = SQLiteStore(tmp_path / "sessions.db", timeout=60)
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


def held(folder: Path, *words: bytes) -> list[bytes]:
    """Which of the words are in the files."""
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    return [word for word in words if word in content]


async def finish_erasing(store: SQLiteStore) -> None:
    """Wait for what the store erases in the background."""
    thread = store._checkpointer._thread
    if thread is not None:
        await anyio.to_thread.run_sync(thread.join)


async def make(store: SQLiteStore, key: str, *versions: bytes, expires_at: int) -> None:
    assert await store.create(key, versions[0], expires_at)
    for data in versions[1:]:
        row = await store.load(key)
        assert row is not None
        assert await store.replace(key, data, expires_at, row.version)


@pytest.mark.slow
async def test_V4_a_delete_removes_the_bytes_from_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: int
) -> None:
    """All versions of all sizes, in the file and in its log, next to sessions that stay."""
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 0)
    pick = random.Random(4)
    sessions = {key_of(new_id()): [b"%032x" % pick.getrandbits(128) for _ in range(3)] for _ in range(150)}
    deleted, kept = list(sessions)[::2], list(sessions)[1::2]
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        for key, words in sessions.items():
            await make(store, key, *(word + b"." * pick.choice([9, 900, 9000]) for word in words), expires_at=soon)
        await finish_erasing(store)
        words = [word for key in deleted for word in sessions[key]]
        assert held(tmp_path, *words)
        for key in deleted:
            assert await store.delete(key)
        await finish_erasing(store)
        assert held(tmp_path, *words) == []
        living = [sessions[key][-1] for key in kept]
        assert held(tmp_path, *living) == living


async def test_V4_what_was_replaced_is_removed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, soon: int
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 0)
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await make(store, key, b"first", b"second", expires_at=soon)
        await finish_erasing(store)
        assert held(tmp_path, b"first", b"second") == [b"second"]


async def test_who_writes_doesnt_wait_until_a_long_log_is_copied_into_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: int
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 3600)
    file = tmp_path / "sessions.db"
    async with SQLiteStore(file) as store:
        for _ in range(10):
            assert await store.create(key_of(new_id()), b"x" * 1_000_000, soon)
        assert file.stat().st_size < 1_000_000
    assert file.stat().st_size > 10_000_000


async def test_the_log_doesnt_grow_with_the_number_of_sessions_that_are_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, soon: int
) -> None:
    """Otherwise a write while it is emptied waits for all of it."""
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 3600)
    file, log = tmp_path / "sessions.db", tmp_path / "sessions.db-wal"
    async with SQLiteStore(file, clock=clock) as store:
        for _ in range(1000):
            assert await store.create(key_of(new_id()), b"x" * 4000, soon)
    assert not log.exists()
    clock.advance(3600)
    async with SQLiteStore(file, clock=clock) as store:
        assert await store.delete_expired(100) == 100
        step = log.stat().st_size
        assert await store.delete_expired(1000) == 900
        assert log.stat().st_size < 3 * step


async def test_V4_what_expired_is_removed_too_once_it_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, key: str, soon: int
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 0)
    async with SQLiteStore(tmp_path / "sessions.db", clock=clock) as store:
        await make(store, key, b"first", b"second", expires_at=soon)
        clock.advance(3600)
        assert await store.delete_expired() == 1
        await finish_erasing(store)
        assert held(tmp_path, b"first", b"second") == []


async def test_V4_it_is_put_off_while_somebody_reads_and_nobody_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, soon: int
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 0.01)
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await make(store, key, b"first", b"second", expires_at=soon)
        await finish_erasing(store)
        own = store._checkpointer
        outcomes: queue.Queue[bool] = queue.Queue()
        truncate = own.truncate

        def spy() -> bool:
            outcomes.put(done := truncate())
            return done

        monkeypatch.setattr(own, "truncate", spy)
        backup = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
        backup.execute("BEGIN")
        assert backup.execute("SELECT data FROM starlette_sessions").fetchall() == [(b"second",)]
        assert await store.delete(key)
        for _ in range(20):
            assert await store.create(key_of(new_id()), b"data", soon)
        assert await anyio.to_thread.run_sync(outcomes.get) is False
        assert held(tmp_path, b"second") == [b"second"], "the backup still reads it"
        backup.execute("COMMIT")
        backup.close()
        await finish_erasing(store)
        assert held(tmp_path, b"first", b"second") == []


async def test_V4_after_a_crash_the_next_opening_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, soon: int
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 3600)
    alive, crashed = tmp_path / "alive", tmp_path / "crashed"
    alive.mkdir()
    async with SQLiteStore(alive / "sessions.db") as store:
        await make(store, key, b"first", b"second", expires_at=soon)
        assert await store.delete(key)
        await anyio.to_thread.run_sync(shutil.copytree, alive, crashed)  # as kill -9 would have left it
    assert held(crashed, b"first", b"second") == [b"first", b"second"]
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 0)
    async with SQLiteStore(crashed / "sessions.db") as store:
        await finish_erasing(store)
        assert held(crashed, b"first", b"second") == []


async def test_V4_closing_does_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, soon: int) -> None:
    """Also if another process goes on: SQLite itself empties the log only behind the last one."""
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 3600)
    other = sqlite3.connect(tmp_path / "sessions.db")
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await make(store, key, b"first", b"second", expires_at=soon)
        other.execute("SELECT count(*) FROM starlette_sessions").fetchall()
        assert await store.delete(key)
        assert held(tmp_path, b"second")
    assert held(tmp_path, b"first", b"second") == []
    other.close()


async def test_a_log_that_cant_be_emptied_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, soon: int
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 0)
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await finish_erasing(store)
        own = store._checkpointer
        db = store._connections.copier.db
        assert db is not None
        db.close()  # every use of it raises an error of sqlite3
        await make(store, key, b"first", b"second", expires_at=soon)
        assert await store.delete(key)
        await make(store, key, b"third", expires_at=soon)
        assert own._thread is not None, "it is tried again and again"
    assert own._thread is None
