"""Sessions in an SQLite file: durable, no server, shared by the worker processes of one machine.

The event loop never blocks, and many writes share one sync to disk: see `_sqlite_line`. The file is in
WAL mode with synchronous=FULL, so what was acknowledged survives kill -9 and loss of power
(sqlite.org/pragma.html#pragma_synchronous). A network file system can't promise that.

What was deleted or replaced leaves the files: in the table it is overwritten at once (secure_delete),
and about a second later the write-ahead log is emptied, which holds it until then. Nobody's answer
waits for that; who writes at its very end waits as long as the disk takes. While somebody else reads
the file for longer (a backup) it is put off; after a crash the next opening does it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import anyio
import anyio.to_thread

from ..errors import ConfigurationError, StoreTimeout, StoreUnavailable
from ._collection import collect
from ._sqlite_eraser import Eraser
from ._sqlite_line import Line
from .base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    SessionStore,
    Stored,
    check_expires_at,
    check_key,
    check_row,
)

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS starlette_sessions (
    key TEXT NOT NULL PRIMARY KEY, data BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS starlette_sessions_expires_at ON starlette_sessions (expires_at);
"""
_LOAD = "SELECT data, version, expires_at FROM starlette_sessions WHERE key = ? AND expires_at > ?"
_CREATE = """INSERT INTO starlette_sessions (key, data, version, expires_at) VALUES (?, ?, random() / 4, ?)
    ON CONFLICT DO NOTHING"""
_REPLACE = """UPDATE starlette_sessions SET data = ?, version = version + 1, expires_at = ?
    WHERE key = ? AND version = ? AND expires_at > ?"""
_TOUCH = "UPDATE starlette_sessions SET expires_at = ? WHERE key = ? AND expires_at > ?"
_DELETE = "DELETE FROM starlette_sessions WHERE key = ? AND expires_at > ?"
_DELETE_VERSION = "DELETE FROM starlette_sessions WHERE key = ? AND version = ? AND expires_at > ?"
_DELETE_EXPIRED = """DELETE FROM starlette_sessions WHERE key IN
    (SELECT key FROM starlette_sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"""
_KEYS = "SELECT key FROM starlette_sessions WHERE key > ? ORDER BY key LIMIT 1000"
_DROP_IF_EXPIRED = "DELETE FROM starlette_sessions WHERE key = ? AND expires_at <= ?"

_STEP = 100
"""How many expired rows are removed at once."""
_REST = 6
"""How many times as long as a step the rest after it is: whoever commits meanwhile waits for the same disk."""
_LONGEST_LOG = 20_000
"""Pages, after which a writer copies the log into the table itself: only where the eraser can't keep up."""


class SQLiteStore(SessionStore):
    """A store in the file at `path`, made with mode 0600 if it isn't there.

    `timeout` is the budget of one operation in seconds; waiting for another process that writes
    may add as much again. `clock` gives unix seconds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if os.fspath(path) in ("", ":memory:"):
            raise ConfigurationError("SQLiteStore needs the path of a file; MemoryStore keeps sessions in memory")
        self.max_data_bytes = max_data_bytes
        self._path = Path(path)
        self._timeout = timeout
        self._clock = clock
        self._opening = anyio.Lock()
        self._lines: _Lines | None = None

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        row = await self._read(lambda db: db.execute(_LOAD, (key, self._clock())).fetchone())
        return None if row is None else Stored(*row)

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes)

        def create(db: sqlite3.Connection) -> bool:
            db.execute(_DROP_IF_EXPIRED, (key, self._clock()))
            return db.execute(_CREATE, (key, data, expires_at)).rowcount == 1

        return await self._write(create)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes)
        if not _is_version(version):
            return False
        return await self._change(_REPLACE, data, expires_at, key, version)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        return await self._change(_TOUCH, expires_at, key)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        if version is None:
            return await self._change(_DELETE, key)
        if not _is_version(version):
            return False
        return await self._change(_DELETE_VERSION, key, version)

    async def delete_expired(self, limit: int = 1000) -> int:
        """At a pace that requests hardly notice; each step has the budget of an operation."""
        return await collect(self._remove_expired, limit, size=_STEP, rest=_REST)

    async def _remove_expired(self, count: int) -> int:
        """Copying the log is part of a step: were it left to the eraser, writers would wait for all steps at once."""
        eraser = (await self._open()).eraser
        removed = await self._write(lambda db: db.execute(_DELETE_EXPIRED, (self._clock(), count)).rowcount)
        await anyio.to_thread.run_sync(eraser.copy_log)
        return removed

    async def all_keys(self) -> AsyncIterator[str]:
        """The keys of all rows; see `SupportsListing`."""
        last = ""
        while page := await self._read(partial(_page_of_keys, after=last)):
            for key in page:
                yield key
            last = page[-1]

    async def diagnose(self) -> list[Finding]:
        """Who else can read the file; see `SupportsDiagnosis`."""
        await self.open()
        mode = (await anyio.to_thread.run_sync(self._path.stat)).st_mode & 0o777
        if mode & 0o077:
            return [Finding(f"{self._path} can be read by other users", f"chmod 600 {self._path}")]
        return []

    async def open(self) -> None:
        await self._open()

    async def aclose(self) -> None:
        async with self._opening:
            lines, self._lines = self._lines, None
            if lines is not None:
                await lines.reader.aclose()
                await lines.writer.aclose()
                await anyio.to_thread.run_sync(lines.eraser.close)

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        with _our_errors(self._path), anyio.fail_after(self._timeout):
            return await (self._lines or await self._open()).reader.run(job)

    async def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        with _our_errors(self._path), anyio.fail_after(self._timeout):
            return await (self._lines or await self._open()).writer.run(job)

    async def _change(self, statement: str, *values: object) -> bool:
        """Change one row that hasn't expired by the time that it is our turn, however long that takes."""
        return await self._write(lambda db: db.execute(statement, (*values, self._clock())).rowcount == 1)

    async def _open(self) -> _Lines:
        async with self._opening:
            if self._lines is None:
                with _our_errors(self._path):
                    self._lines = await anyio.to_thread.run_sync(self._connect)
            return self._lines

    def _connect(self) -> _Lines:
        """Open the file. Runs on a thread."""
        with suppress(FileExistsError):  # not opened here: closing a second handle would drop SQLite's locks
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        writer = self._connection()
        try:
            self._prepare(writer)
            reader, eraser = self._connection(), Eraser(self._connection())
        except BaseException:
            writer.close()
            raise
        eraser.request()  # for what was written right before a crash
        return _Lines(Line(reader, "BEGIN"), Line(writer, "BEGIN IMMEDIATE", eraser.request), eraser)

    def _connection(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)

    def _prepare(self, writer: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                writer.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:  # SQLite doesn't wait here for another worker that opens too
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        writer.execute("PRAGMA synchronous = FULL")
        writer.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG}")
        writer.execute("PRAGMA secure_delete = ON")
        writer.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")


class _Lines(NamedTuple):
    """Reads don't wait for writes: SQLite lets one connection read while another writes (WAL)."""

    reader: Line
    writer: Line
    eraser: Eraser


def _page_of_keys(db: sqlite3.Connection, after: str) -> list[str]:
    return [key for (key,) in db.execute(_KEYS, (after,))]


def _is_version(version: Hashable) -> bool:
    """Whether SQLite could have given this version. It takes no larger number, and no other type."""
    return isinstance(version, int) and abs(version) < 2**63


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's and the system's errors as ours."""
    try:
        yield
    except TimeoutError as error:
        raise StoreTimeout(f"{path} was busy for longer than the timeout") from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreTimeout(f"another process kept {path} locked for longer than the timeout") from error
        raise StoreUnavailable(f"SQLite failed on {path}: {error}") from error
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"{path} can't be used as a session store: {error}") from error
