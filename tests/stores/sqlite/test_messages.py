"""What an SQLiteStore says when its file can't be used: the cause in plain words, and what to do."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from starlette_sessions_ext import SQLiteStore, StoreTimeout, StoreUnavailable
from starlette_sessions_ext.errors import StoreFull
from starlette_sessions_ext.stores.sqlite import errors
from starlette_sessions_ext.stores.sqlite.errors import path_problem

from ...support.trio_in_full import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio

NOBODY = 65534
KEY = "a" * 32
SOON = 2_000_000_000


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an unprivileged user can reach: pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@contextmanager
def unprivileged(*paths: Path) -> Iterator[None]:
    """Be a user for whom modes count, and to whom the paths belong."""
    if os.geteuid() != 0:
        yield
        return
    for path in paths:
        os.chown(path, NOBODY, NOBODY)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def make(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE other (id)")


# Each makes a cause under `folder` and returns the path that the store is given.


def no_folder(folder: Path, stack: ExitStack) -> Path:
    return folder / "missing" / "sessions.db"


def a_file_for_a_folder(folder: Path, stack: ExitStack) -> Path:
    (folder / "notes.txt").touch()
    return folder / "notes.txt" / "sessions.db"


def a_folder(folder: Path, stack: ExitStack) -> Path:
    return folder


def a_link_into_no_folder(folder: Path, stack: ExitStack) -> Path:
    (folder / "sessions.db").symlink_to(folder / "missing" / "real.db")
    return folder / "sessions.db"


def a_pipe(folder: Path, stack: ExitStack) -> Path:
    os.mkfifo(folder / "sessions.db")
    return folder / "sessions.db"


def no_right_to_write_the_folder(folder: Path, stack: ExitStack) -> Path:
    (folder / "closed").mkdir(0o755)
    (folder / "closed").chmod(0o555)
    stack.enter_context(unprivileged(folder / "closed"))
    return folder / "closed" / "sessions.db"


def no_right_to_write_the_folder_of_a_file(folder: Path, stack: ExitStack) -> Path:
    (folder / "closed").mkdir(0o755)
    make(folder / "closed" / "sessions.db")
    (folder / "closed").chmod(0o555)
    stack.enter_context(unprivileged(folder / "closed", folder / "closed" / "sessions.db"))
    return folder / "closed" / "sessions.db"


def no_right_to_write_the_file(folder: Path, stack: ExitStack) -> Path:
    make(folder / "sessions.db")
    (folder / "sessions.db").chmod(0o400)
    stack.enter_context(unprivileged(folder, folder / "sessions.db"))
    return folder / "sessions.db"


def no_right_to_read_the_file(folder: Path, stack: ExitStack) -> Path:
    make(folder / "sessions.db")
    (folder / "sessions.db").chmod(0o200)
    stack.enter_context(unprivileged(folder, folder / "sessions.db"))
    return folder / "sessions.db"


def a_read_only_file_system(folder: Path, stack: ExitStack) -> Path:
    patch = stack.enter_context(pytest.MonkeyPatch.context())  # to mount one takes a right that few test runs have
    patch.setattr(errors, "_is_read_only", lambda folder: True)
    return folder / "sessions.db"


def not_a_database(folder: Path, stack: ExitStack) -> Path:
    (folder / "sessions.db").write_bytes(b"Dear Ann, " * 1000)
    (folder / "sessions.db").chmod(0o600)
    return folder / "sessions.db"


def a_table_of_another_program(folder: Path, stack: ExitStack) -> Path:
    with closing(sqlite3.connect(folder / "sessions.db")) as db:
        db.execute("CREATE TABLE starlette_sessions (id, value)")
    return folder / "sessions.db"


def a_table_without_its_key(folder: Path, stack: ExitStack) -> Path:
    with closing(sqlite3.connect(folder / "sessions.db")) as db:
        db.execute("CREATE TABLE starlette_sessions (key, data, version, expires_at)")
    return folder / "sessions.db"


def locked(folder: Path, stack: ExitStack) -> Path:
    db = stack.enter_context(closing(sqlite3.connect(folder / "sessions.db", isolation_level=None)))
    db.execute("BEGIN EXCLUSIVE")
    return folder / "sessions.db"


def damaged(folder: Path, stack: ExitStack) -> Path:
    path = folder / "sessions.db"
    make(path)
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100
    path.write_bytes(content)
    return path


CAUSES = {
    no_folder: "the folder .*missing doesn't exist.* make it",
    a_file_for_a_folder: r"notes\.txt isn't a folder: correct the path",
    a_folder: "is a folder: name a file in it, such as .*sessions.db",
    a_link_into_no_folder: "the folder .*missing doesn't exist",
    a_pipe: "isn't a regular file: correct the path",
    no_right_to_write_the_folder: "may not write in the folder .*closed.*give its user the right",
    no_right_to_write_the_folder_of_a_file: "may not write in the folder .*closed.*give its user the right",
    no_right_to_write_the_file: r"may not read and write .*sessions\.db.*chown",
    no_right_to_read_the_file: r"may not read and write .*sessions\.db.*chown",
    a_read_only_file_system: "the file system of .* is read-only: mount it for writing",
    not_a_database: r"sessions\.db isn't an SQLite database: name another file",
    a_table_of_another_program: "the table starlette_sessions .* isn't one of this package.*name another file",
    a_table_without_its_key: "the table starlette_sessions .* primary key key.*name another file",
    locked: "another process kept .* locked for longer than the timeout of 0.1 s: end that process, or raise timeout",
    damaged: "is damaged: restore it from a backup",
}


@pytest.mark.parametrize("call", ["open", "load", "create", "diagnose"])
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
async def test_the_cause_and_the_remedy(cause: object, call: str, folder: Path) -> None:
    with ExitStack() as stack:
        path = cause(folder, stack)  # type: ignore[operator]
        store = SQLiteStore(path, timeout=0.1)
        calls = {
            "open": store.open,
            "load": lambda: store.load(KEY),
            "create": lambda: store.create(KEY, b"canary", SOON),
            "diagnose": store.diagnose,
        }
        with pytest.raises(StoreUnavailable) as caught:
            await calls[call]()
        await store.aclose()
    assert re.search(CAUSES[cause], str(caught.value))  # type: ignore[index]
    assert "canary" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert isinstance(caught.value, StoreTimeout) == (cause is locked)


def test_a_failing_disk(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    ours = errors.to_store_error(error, tmp_path / "sessions.db", 2.0)
    assert re.search(r"the disk failed under .*sessions\.db.*disk I/O error.*system's log", str(ours))


def test_a_read_only_file_system_is_recognised() -> None:
    assert not errors._is_read_only(Path(tempfile.gettempdir()))
    assert errors._is_read_only(Path("/sys/kernel")) == bool(os.statvfs("/sys/kernel").f_flag & os.ST_RDONLY)


def test_nothing_speaks_against_a_place(tmp_path: Path) -> None:
    assert path_problem(tmp_path / "sessions.db") is None


# While it is open


async def test_a_locked_file_is_found_by_diagnose(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "sessions.db", timeout=0.1) as store:
        with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreTimeout, match="another process kept"):
                await store.diagnose()


async def test_a_full_database(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        await store._write(lambda db: db.execute("PRAGMA max_page_count = 10"))
        with pytest.raises(StoreFull, match=r"sessions\.db can't grow.*full: free some space"):
            await store.create(KEY, b"x" * 500_000, SOON)
        assert await store.create(KEY, b"x", SOON)


FILL = """
import resource, signal, sys
import anyio
from starlette_sessions_ext import SQLiteStore, StoreUnavailable

async def main():
    async with SQLiteStore(sys.argv[1]) as store:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            await store.create("a" * 32, b"x" * 500_000, 2_000_000_000)
        except StoreUnavailable as error:
            print(error)
        assert await store.create("b" * 32, b"x", 2_000_000_000)
        assert await store.load("a" * 32) is None

anyio.run(main)
"""


def test_a_limit_of_file_sizes_is_named(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FILL, tmp_path / "sessions.db"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("the disk failed under .*quota.*ulimit -f", done.stdout)


async def test_a_full_disk_is_found_by_diagnose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with SQLiteStore(tmp_path / "sessions.db", max_data_bytes=None) as store:
        assert await store.diagnose() == []
        monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 1, 1))
        [finding] = await store.diagnose()
    assert "is full" in finding.problem


async def test_a_damaged_table_is_found_by_diagnose(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with SQLiteStore(path) as store:
        for number in range(200):
            await store.create(f"{number:032d}".translate(str.maketrans("0123456789", "abcdefghij")), b"x" * 900, SOON)
    with open(path, "r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\0" * 4096 * 20)
    async with SQLiteStore(path) as store:
        [finding] = await store.diagnose()
        assert "is damaged" in finding.problem
        assert "backup" in finding.remedy


async def test_a_table_that_is_dropped(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        with closing(sqlite3.connect(tmp_path / "sessions.db")) as other:
            other.execute("DROP TABLE starlette_sessions")
        with pytest.raises(StoreUnavailable, match="no such table: starlette_sessions"):
            await store.load(KEY)


# Windows


WINDOWS = """
import os, sys
for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY", "O_NOCTTY", "O_SYNC", "O_NONBLOCK", "fchmod", "fchown", "chown",
             "getuid", "geteuid", "getgid", "getegid", "mkfifo"):
    delattr(os, name)
import anyio
del os.fork, os.register_at_fork
for name in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules[name] = None

from starlette_sessions_ext import SQLiteStore
from starlette_sessions_ext.cli import main as command

async def main():
    async with SQLiteStore(sys.argv[1]) as store:
        assert await store.create("a" * 32, b"data", 2_000_000_000)
        os.unlink(sys.argv[1])
        assert await store.create("b" * 32, b"data", 2_000_000_000)
        assert await store.load("a" * 32) is None
        assert await store.diagnose() == []

anyio.run(main)
assert command(["doctor", "sqlite:///" + sys.argv[1]]) == 0
"""


def test_it_works_without_what_windows_lacks(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WINDOWS, tmp_path / "sessions.db"], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "all is well\n")


async def test_the_same_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "fchmod", "getuid", "statvfs"):
        monkeypatch.delattr(os, name)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        assert await store.create(KEY, b"data", SOON)
