"""The file of an SQLite store: made private, opened and checked.

A replaced file is recognised. SQLite keeps two more files next to a database in WAL mode: the log
(`-wal`) and its index (`-shm`). Both belong to one database. If it is removed or replaced and they stay, the
next database there would take over pages of the former one (sqlite.org/howtocorrupt.html). So whatever
process notices that removes them.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE

from ...errors import StoreTimeout, StoreUnavailable
from .errors import path_problem

_HAS_MODES = os.name == "posix"
_SIDECARS = ("-wal", "-shm")
_TABLE = "starlette_sessions"
_COLUMNS = {"key", "data", "version", "expires_at"}
_CREATE = """CREATE TABLE IF NOT EXISTS starlette_sessions (
    key TEXT NOT NULL PRIMARY KEY, data BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER NOT NULL, owner TEXT
)"""
_ADD_OWNER = "ALTER TABLE starlette_sessions ADD COLUMN owner TEXT"
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS starlette_sessions_expires_at ON starlette_sessions (expires_at)",
    "CREATE INDEX IF NOT EXISTS starlette_sessions_owner ON starlette_sessions (owner) WHERE owner IS NOT NULL",
)
_LONGEST_LOG = 20_000
"""Pages, after which a writer copies the log into the table: only where the checkpointer can't keep up."""
_PAUSE = (0.0005, 0.005)
"""Seconds between two tries for a lock, at the least and at the most."""

Identity = tuple[int, int]
"""Device and inode: two paths, or one path at two moments, name the same file if these are equal."""


class DatabaseFile:
    """The database at `path`, also when that is a link. Every method blocks.

    With `must_exist` neither the file nor its table is made, and its mode isn't changed.
    `timeout` is how long to wait for another process, in seconds.
    """

    def __init__(self, path: Path, timeout: float, must_exist: bool) -> None:
        self.path = path
        self.timeout = timeout
        self._must_exist = must_exist

    def identity(self) -> Identity | None:
        """Return the identity of the file at the path; None if it can't be found."""
        return _identity(self.path)

    def sidecars(self) -> dict[str, Identity]:
        """Return the identities of the log and its index as they are now."""
        real = self._real()
        found = {suffix: _identity(f"{real}{suffix}") for suffix in _SIDECARS}
        return {suffix: identity for suffix, identity in found.items() if identity is not None}

    def make(self, former: dict[str, Identity]) -> None:
        """Make sure that the file is there and private.

        `former` are the log and index of the database that was at the path before, if it was another.
        Raises `StoreUnavailable`, with what to do, if this process can't keep a database there.
        """
        self.path = self.path.absolute()  # wherever the process goes afterwards
        real = self._real()
        if problem := path_problem(real):
            raise StoreUnavailable(problem)
        if former or not real.exists():
            with _alone_in(real.parent, self.timeout):
                self._make(real, former)
        if not self._must_exist and _HAS_MODES:
            for path in (real, *(Path(f"{real}{suffix}") for suffix in _SIDECARS)):
                _make_private(path)

    def connect(self) -> sqlite3.Connection:
        """Open the file, which is there.

        SQLite itself never makes one here, or it would have a public mode.
        """
        return sqlite3.connect(
            f"{self._real().as_uri()}?mode=rw",
            uri=True,
            timeout=self.timeout,
            isolation_level=None,
            check_same_thread=False,
        )

    def prepare(self, db: sqlite3.Connection) -> None:
        """Check that the database is one of sessions, or make it one.

        Nothing in it is changed before that check.
        """
        columns = _columns(db)
        if self._must_exist and not columns:
            raise StoreUnavailable(f"{self.path} holds no sessions: correct the path of the store")
        if columns and (_COLUMNS - columns.keys() or [name for name, part in columns.items() if part] != ["key"]):
            raise StoreUnavailable(
                f"the table {_TABLE} in {self.path} isn't one of this package "
                f"(it needs the columns {', '.join(sorted(_COLUMNS))} and the primary key key): name another file"
            )
        _use_log(db, self.timeout)
        found = db.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'starlette_sessions%'").fetchone()
        if found < (1 + len(_INDEXES),) or "owner" not in columns:
            _make_table(db, self.timeout)

    def others_can_read(self) -> bool:
        """Return whether other users of the system can; False where files have no modes."""
        return _HAS_MODES and bool(self.path.stat().st_mode & 0o077)

    def _real(self) -> Path:
        """Return the place where SQLite itself puts the file and its log.

        A link is followed, even to nowhere.
        """
        return Path(os.path.realpath(self.path))

    def _make(self, real: Path, former: dict[str, Identity]) -> None:
        if real.exists():
            stale = [suffix for suffix, identity in former.items() if _identity(f"{real}{suffix}") == identity]
        elif self._must_exist:
            raise StoreUnavailable(f"there is no file {self.path}: correct the path of the store")
        else:
            stale = [*_SIDECARS]
        for suffix in stale:
            Path(f"{real}{suffix}").unlink(missing_ok=True)
        with suppress(FileExistsError):  # not opened here: closing a second handle would drop SQLite's locks
            os.close(os.open(real, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _identity(path: Path | str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _make_private(path: Path) -> None:
    """Take the file from other users: it opens every session.

    Raises `StoreUnavailable` if that can't be done.
    """
    with suppress(FileNotFoundError):
        with suppress(PermissionError):
            if path.stat().st_mode & 0o077:
                path.chmod(S_IMODE(path.stat().st_mode) & 0o600)
        if path.stat().st_mode & 0o077:
            raise StoreUnavailable(
                f"other users can read {path}, and this process can't change that: run chmod 600 {path} "
                "as its owner, or name a file on a file system that keeps modes"
            )


@contextmanager
def _alone_in(folder: Path, timeout: float) -> Iterator[None]:
    """Let one process at a time make files of databases there, or remove them.

    Windows has no such lock and needs none: a file that is open can't be removed there. Raises `StoreTimeout`.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + timeout
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreTimeout(
                        f"another process kept the folder {folder} locked (flock) for longer than the timeout of "
                        f"{timeout:g} s: end that process, or raise timeout"
                    ) from error
                time.sleep(random.uniform(*_PAUSE))
        yield
    finally:
        os.close(descriptor)


def execute_when_unlocked(db: sqlite3.Connection, statement: str, timeout: float) -> None:
    """Execute, and try again for `timeout` seconds while the database is locked.

    Another process or connection holds the lock. SQLite's own busy handler sleeps for up to 100 ms between
    two tries, so that a process that writes without a pause starves the others; and it doesn't wait at all
    where two processes change to WAL mode at once.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            db.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(*_PAUSE))


def _columns(db: sqlite3.Connection) -> dict[str, int]:
    """Return the table's columns, with their positions in the primary key.

    There are none if there is no table.
    """
    return {name: part for _, name, _, _, _, part in db.execute(f"PRAGMA table_info({_TABLE})")}


def _make_table(db: sqlite3.Connection, timeout: float) -> None:
    """Make the table, or add what one of an earlier version lacks.

    Processes of an earlier version that have the file open go on: they name the columns that they use.
    """
    execute_when_unlocked(db, "BEGIN IMMEDIATE", timeout)
    db.execute(_CREATE)
    if "owner" not in _columns(db):  # another process may have added it by now
        db.execute(_ADD_OWNER)
    for statement in _INDEXES:
        db.execute(statement)
    db.execute("COMMIT")


def _use_log(db: sqlite3.Connection, timeout: float) -> None:
    execute_when_unlocked(db, "PRAGMA journal_mode = WAL", timeout)
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG}")
    db.execute("PRAGMA secure_delete = ON")
