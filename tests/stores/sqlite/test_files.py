"""The file of an SQLiteStore: its mode, links to it, and what happens when it is removed or replaced."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from starlette_sessions_ext import ConfigurationError, SQLiteStore, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.sqlite import checkpointer, database_file
from starlette_sessions_ext.testing import FakeClock, StoreContract

from ...support.trio_in_full import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio


class TestSQLiteStoreThatMustExist(StoreContract):
    """Through a link, as well."""

    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        (tmp_path / "link.db").symlink_to(tmp_path / "sessions.db")
        async with SQLiteStore(tmp_path / "sessions.db", clock=clock):
            pass
        async with SQLiteStore(tmp_path / "link.db", clock=clock, must_exist=True) as store:
            yield store


def keys_in(path: Path) -> set[str]:
    """What another program finds in the file."""
    with closing(sqlite3.connect(path)) as db:
        return {key for (key,) in db.execute("SELECT key FROM starlette_sessions")}


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# Modes and links


async def test_the_file_that_a_dangling_link_names_is_private_too(tmp_path: Path, key: str, soon: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "sessions.db").symlink_to("data/real.db")
    with umask(0):
        async with SQLiteStore(tmp_path / "sessions.db") as store:
            assert await store.create(key, b"data", soon)
            assert modes(folder) == dict.fromkeys(("real.db", "real.db-shm", "real.db-wal"), 0o600)
    assert keys_in(folder / "real.db") == {key}


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o660, 0o777])
async def test_an_existing_file_becomes_private(tmp_path: Path, key: str, soon: int, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with umask(0):
        with closing(sqlite3.connect(folder / "sessions.db", isolation_level=None)) as running:
            running.execute("PRAGMA journal_mode = WAL")
            running.execute("CREATE TABLE other (id)")  # the log and its index are there already
            for path in folder.iterdir():
                path.chmod(mode)
            async with SQLiteStore(folder / "sessions.db") as store:
                assert await store.create(key, b"data", soon)
                assert modes(folder) == dict.fromkeys(("sessions.db", "sessions.db-shm", "sessions.db-wal"), 0o600)


async def test_a_mode_that_cant_be_changed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner is another user, or the file system keeps no modes."""

    def refused(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    def without_effect(path: Path, mode: int) -> None:
        pass

    (tmp_path / "sessions.db").touch(0o644)
    (tmp_path / "sessions.db").chmod(0o644)
    for chmod in (refused, without_effect):
        monkeypatch.setattr(Path, "chmod", chmod)
        with pytest.raises(StoreUnavailable, match=r"other users can read .*chmod 600"):
            await SQLiteStore(tmp_path / "sessions.db").open()


async def test_where_files_have_no_modes_none_are_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_file, "_HAS_MODES", False)
    (tmp_path / "sessions.db").touch()
    (tmp_path / "sessions.db").chmod(0o666)
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        assert await store.diagnose() == []
    assert modes(tmp_path) == {"sessions.db": 0o666}


# Options


@pytest.mark.parametrize("path", [None, 5, b"sessions.db", ["sessions.db"], "folder/", "nul\0.db"])
def test_a_path_of_a_wrong_kind_is_refused(path: object) -> None:
    with pytest.raises(ConfigurationError, match="path of SQLiteStore"):
        SQLiteStore(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": float("nan")}, {"timeout": "2"}, {"clock": 5}, {"max_data_bytes": 0}]
)
def test_an_option_that_cant_work_is_named(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SQLiteStore("sessions.db", **options)  # type: ignore[arg-type]


# must_exist


@pytest.mark.parametrize("make", ["nothing", "an empty file", "another database", "a link to nowhere"])
async def test_a_store_that_must_exist_makes_nothing(tmp_path: Path, make: str, key: str, soon: int) -> None:
    path = tmp_path / "sesions.db"
    if make == "an empty file":
        path.touch()
    if make == "a link to nowhere":
        path.symlink_to(tmp_path / "nowhere.db")
    if make == "another database":
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE other (id)")
    before = {one.name: one.read_bytes() if one.exists() else None for one in tmp_path.iterdir()}
    store = SQLiteStore(path, must_exist=True)
    for call in (store.open(), store.load(key), store.create(key, b"data", soon), store.diagnose()):
        with pytest.raises(StoreUnavailable, match=r"sesions\.db.*correct the path"):
            await call
    assert {one.name: one.read_bytes() if one.exists() else None for one in tmp_path.iterdir()} == before


async def test_a_store_that_must_exist_leaves_the_mode_alone(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "sessions.db"):
        pass
    (tmp_path / "sessions.db").chmod(0o640)
    async with SQLiteStore(tmp_path / "sessions.db", must_exist=True) as store:
        [finding] = await store.diagnose()
    assert "other users" in finding.problem
    assert modes(tmp_path) == {"sessions.db": 0o640}


# Removed or replaced


def unlink(path: Path) -> None:
    path.unlink()


def unlink_all(path: Path) -> None:
    for one in path.parent.iterdir():
        one.unlink()


def rename_away(path: Path) -> None:
    path.rename(path.with_name("old.db"))


def move_another_over_it(path: Path) -> None:
    shutil.copy(path.parent.parent / "backup.db", path.with_name("backup.db"))
    path.with_name("backup.db").replace(path)


def move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))
    path.parent.mkdir()


WAYS = [unlink, unlink_all, rename_away, move_another_over_it, move_the_folder]


@pytest.fixture
async def path(tmp_path: Path, soon: int) -> Path:
    """A file in a folder, and a backup of a database outside of it."""
    async with SQLiteStore(tmp_path / "backup.db") as store:
        await store.create("b" * 32, b"backup", soon)
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "sessions.db"


def is_backup(way: Callable[[Path], None]) -> bool:
    return way is move_another_over_it


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("log", ["full", "empty"])
async def test_an_acknowledged_write_is_in_the_file_that_others_see(
    path: Path, way: Callable[[Path], None], log: str, key: str, soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 3600)
    async with SQLiteStore(path) as store:
        for _ in range(50):
            assert await store.create(key_of(new_id()), b"x" * 2000, soon)
        assert await store.create("c" * 32, b"former", soon)
        if log == "empty":
            await anyio.to_thread.run_sync(store._checkpointer.truncate)
        way(path)
        assert await store.load("c" * 32) is None
        assert await store.create(key, b"data", soon)
        assert not await store.touch("c" * 32, soon)
        there = {key, "b" * 32} if is_backup(way) else {key}
        assert keys_in(path) == there
        assert modes(path.parent)["sessions.db"] == 0o600
        async with SQLiteStore(path) as other:
            row = await other.load(key)
            assert row is not None
            assert await other.replace(key, b"other", soon, row.version)
        row = await store.load(key)
        assert row is not None
        assert row.data == b"other"
    assert keys_in(path) == there
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("way", WAYS)
async def test_the_write_comes_first(path: Path, way: Callable[[Path], None], key: str, soon: int) -> None:
    async with SQLiteStore(path) as store:
        assert await store.create("c" * 32, b"former", soon)
        way(path)
        assert await store.create(key, b"data", soon)
        assert key in keys_in(path)
        assert "c" * 32 not in keys_in(path)


WORKER = """
import sys
import anyio
from starlette_sessions_ext import SQLiteStore

async def main():
    async with SQLiteStore(sys.argv[1]) as store:
        for line in sys.stdin:
            print(await store.create(line.strip(), b"data", 2_000_000_000), flush=True)

anyio.run(main)
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", ["this process", "the other"])
async def test_two_processes_that_had_it_open_write_to_one_file_again(
    path: Path, way: Callable[[Path], None], first: str, soon: int
) -> None:
    """Neither takes the log, or the index of the log, of the former database for that of the new one."""
    keys = [key_of(new_id()) for _ in range(6)]
    command = [sys.executable, "-c", WORKER, str(path)]
    async with SQLiteStore(path) as store:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None

            async def there(key: str) -> None:
                print(key, file=worker.stdin, flush=True)
                assert worker.stdout is not None
                assert worker.stdout.readline() == "True\n"

            async def here(key: str) -> None:
                assert await store.create(key, b"data", soon)

            await there(keys[0])
            await here(keys[1])
            way(path)
            turns = [here, there] if first == "this process" else [there, here]
            for number, key in enumerate(keys[2:]):
                await turns[number % 2](key)
            assert keys_in(path) - {"b" * 32} == {*keys[2:]}
            worker.stdin.close()
    assert keys_in(path) - {"b" * 32} == {*keys[2:]}


async def test_two_stores_that_had_it_open(path: Path, soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(4)]
    async with SQLiteStore(path) as one, SQLiteStore(path) as other:
        assert await one.create(keys[0], b"data", soon)
        assert await other.create(keys[1], b"data", soon)
        unlink(path)
        assert await one.create(keys[2], b"data", soon)
        assert await other.create(keys[3], b"data", soon)
        assert await one.load(keys[3]) == await other.load(keys[3]) is not None
        assert await one.load(keys[2]) == await other.load(keys[2]) is not None
    assert keys_in(path) == {*keys[2:]}


async def test_a_file_that_is_replaced_during_the_transaction(path: Path, soon: int) -> None:
    """What was committed to the former one is written once more."""
    removed: list[Path] = []

    def remove_and_write(db: sqlite3.Connection) -> None:
        if not removed:
            removed.append(path)
            path.unlink()
        db.execute("INSERT INTO starlette_sessions VALUES (?, ?, 1, ?, NULL)", ("a" * 32, b"data", soon))

    async with SQLiteStore(path) as store:
        await store._write(remove_and_write)
        assert keys_in(path) == {"a" * 32}


async def test_a_file_that_is_replaced_every_time(path: Path, soon: int) -> None:
    async with SQLiteStore(path, timeout=0.2) as store:
        with pytest.raises(StoreUnavailable, match="replaced under every attempt"):
            await store._write(lambda db: path.unlink())
        assert await store.create("a" * 32, b"data", soon)


async def test_a_folder_that_another_process_has_locked(path: Path, key: str, soon: int) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(StoreTimeout, match=r"the folder .* locked \(flock\)"):
            await SQLiteStore(path, timeout=0.1).create(key, b"data", soon)
        assert not path.exists()
        store = SQLiteStore(path, timeout=20)
        async with anyio.create_task_group() as group:
            group.start_soon(store.open)
            await anyio.wait_all_tasks_blocked()
            assert not path.exists()
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        assert path.exists()
        await store.aclose()
    finally:
        os.close(descriptor)


async def test_the_folder_goes_and_comes_back(path: Path, key: str, soon: int) -> None:
    async with SQLiteStore(path) as store:
        assert await store.create(key, b"data", soon)
        shutil.rmtree(path.parent)
        with pytest.raises(StoreUnavailable, match="folder"):
            await store.load(key)
        path.parent.mkdir()
        assert await store.load(key) is None
        assert await store.create(key, b"data", soon)
        assert keys_in(path) == {key}


async def test_erasing_doesnt_bring_a_removed_file_back(
    path: Path, key: str, soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_DELAY", 3600)
    store = SQLiteStore(path)
    assert await store.create(key, b"data", soon)
    unlink_all(path)
    await store.aclose()
    assert [*path.parent.iterdir()] == []


async def test_a_relative_path_means_the_same_file_in_another_folder(
    path: Path, key: str, soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    async with SQLiteStore("sessions.db") as store:
        assert await store.create(key, b"data", soon)
        monkeypatch.chdir(path.parent.parent)
        assert await store.load(key) is not None
    assert keys_in(path) == {key}
