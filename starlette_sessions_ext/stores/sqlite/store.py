"""Sessions in an SQLite file: durable, no server, shared by worker processes.

The processes are on one machine. The event loop never blocks, and many writes share one sync to disk: see
`_sqlite_group_commit`. The file is in WAL mode with synchronous=FULL, so what was acknowledged survives kill
-9 and loss of power (sqlite.org/pragma.html#pragma_synchronous). A network file system can't promise that.

An acknowledged write is in the file that other processes find at the path, also after a fork, and after the
file was removed or replaced: see `_sqlite_connections`.

What was deleted or replaced leaves the files: in the table it is overwritten at once (secure_delete),
and about a second later the write-ahead log is emptied, which holds it until then. That doesn't delay
requests, except writes at its very end, which wait for the disk. While another process reads the file for
longer (a backup) it is put off; after a crash the next opening does it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from ...errors import ConfigurationError, CorruptRecord, StoreTimeout
from .._support.cleanup import delete_in_batches
from .._support.options import check_options
from .._support.owner_batches import OwnerBatches
from ..base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    Stored,
    check_expires_at,
    check_key,
    check_owner,
    check_row,
)
from . import statements
from .checkpointer import Checkpointer
from .connections import Connections
from .database_file import DatabaseFile
from .group_commit import GroupCommit

T = TypeVar("T")

_BATCH_SIZE = 100
"""Expired rows deleted at once."""
_PAUSE_FACTOR = 6
"""The rest after a step, as a multiple of its time: requests that commit wait for the same disk."""


class SQLiteStore(OwnerBatches):
    """Keep sessions in the file at `path`, which is made with mode 0600.

    An existing file gets that mode too. `timeout` is the budget of one operation in seconds; waiting for
    another process that writes may add as much again. `clock` gives unix seconds. With `must_exist` the file
    is neither made nor given another mode, for tools that only look after it.

    Raises `ConfigurationError` for an option that can't work, naming it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        clock: Callable[[], float] = time.time,
        must_exist: bool = False,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes)
        self._path = _path_of_a_file(path)
        self.max_data_bytes = max_data_bytes
        self._timeout = timeout
        self._clock = clock
        self._file = DatabaseFile(self._path, timeout, must_exist)
        self._connections = Connections(self._file)
        self._checkpointer = Checkpointer(self._connections)
        self._reader = GroupCommit(self._connections, self._connections.reader, "BEGIN")
        self._writer = GroupCommit(
            self._connections, self._connections.writer, "BEGIN IMMEDIATE", self._checkpointer.schedule
        )

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        row = await self._read(lambda db: db.execute(statements.LOAD, (key, self._clock())).fetchone())
        if row is None:
            return None
        if row[0] is None:
            raise CorruptRecord(f"a row in {self._file.path} has a column of a wrong type: delete it")
        return Stored(*row)

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)

        def create(db: sqlite3.Connection) -> bool:
            db.execute(statements.DROP_IF_EXPIRED, (key, self._clock()))
            return db.execute(statements.CREATE, (key, data, expires_at, owner)).rowcount == 1

        return await self._write(create)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        if not _is_version(version):
            return False
        return await self._change(statements.REPLACE, data, expires_at, owner, key, version)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        return await self._change(statements.TOUCH, expires_at, key)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        if version is None:
            return await self._change(statements.DELETE, key)
        if not _is_version(version):
            return False
        return await self._change(statements.DELETE_VERSION, key, version)

    async def delete_expired(self, limit: int = 1000) -> int:
        """Remove expired sessions at a pace that requests hardly notice.

        Each step has the budget of an operation.
        """
        return await delete_in_batches(self._delete_batch, limit, batch_size=_BATCH_SIZE, pause_factor=_PAUSE_FACTOR)

    async def _delete_batch(self, count: int) -> int:
        return await self._write_step(lambda db: db.execute(statements.DELETE_EXPIRED, (self._clock(), count)).rowcount)

    async def owner_of(self, key: str) -> str | None:
        check_key(key)
        row = await self._read(lambda db: db.execute(statements.OWNER, (key, self._clock())).fetchone())
        return None if row is None else str(row[0])

    async def keys_of(self, owner: str) -> list[str]:
        check_owner(owner)
        return await self._read(lambda db: [key for (key,) in db.execute(statements.KEYS_OF, (owner, self._clock()))])

    async def _delete_owned(self, owner: str, keys: Sequence[str]) -> int:
        def delete(db: sqlite3.Connection) -> int:
            now = self._clock()
            return db.executemany(statements.DELETE_OWNED, [(key, owner, now) for key in keys]).rowcount

        return await self._write_step(delete)

    async def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all rows; see `SupportsListing`."""
        last = ""
        while page := await self._read(partial(_page_of_keys, after=last)):
            for key in page:
                yield key
            last = page[-1]

    async def diagnose(self) -> list[Finding]:
        """Check that the file is private, intact, and has room; see `SupportsDiagnosis`."""
        await self.open()
        await self._write(lambda db: None)  # raises if another process keeps it locked
        return await anyio.to_thread.run_sync(self._diagnose)

    async def open(self) -> None:
        await anyio.to_thread.run_sync(self._connections.renew)

    async def aclose(self) -> None:
        await anyio.to_thread.run_sync(self._checkpointer.finish)
        await anyio.to_thread.run_sync(self._connections.close)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(self._reader, work)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(self._writer, work)

    async def _write_step(self, work: Callable[[sqlite3.Connection], int]) -> int:
        """Copy the log as part of each step.

        Left to the checkpointer, writers would wait for all steps at once.
        """
        changed = await self._write(work)
        await anyio.to_thread.run_sync(self._checkpointer.passive)
        return changed

    async def _run(self, group: GroupCommit, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with anyio.fail_after(self._timeout):
                return await group.run(work)
        except TimeoutError as error:
            raise StoreTimeout(
                f"{self._file.path} was busy for longer than the timeout of {self._timeout:g} s"
            ) from error

    async def _change(self, statement: str, *values: object) -> bool:
        """Change one row that hasn't expired by the time that the statement runs.

        The wait for that may be long.
        """
        return await self._write(lambda db: db.execute(statement, (*values, self._clock())).rowcount == 1)

    def _diagnose(self) -> list[Finding]:
        path = self._file.path
        findings = []
        if self._file.others_can_read():
            findings.append(Finding(f"{path} can be read by other users", f"chmod 600 {path}"))
        if self._connections.reader.run(_is_damaged):
            findings.append(Finding(f"the database {path} is damaged", "restore it from a backup, or move it away"))
        if shutil.disk_usage(path.parent).free < (self.max_data_bytes or DEFAULT_MAX_DATA_BYTES):
            findings.append(Finding(f"the disk of {path} is full", "free some space on it"))
        return findings


def _path_of_a_file(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike) or not isinstance(name := os.fspath(path), str):
        raise ConfigurationError("the path of SQLiteStore must be a str or a path of one, such as Path('sessions.db')")
    if name in ("", ":memory:"):
        raise ConfigurationError("SQLiteStore needs the path of a file; MemoryStore keeps sessions in memory")
    if "\0" in name or name.endswith(("/", os.sep)):
        raise ConfigurationError("the path of SQLiteStore must name a file, such as folder/sessions.db")
    return Path(name)


def _page_of_keys(db: sqlite3.Connection, after: str) -> list[str]:
    return [key for (key,) in db.execute(statements.KEYS, (after,))]


def _is_version(version: Hashable) -> bool:
    """Return whether SQLite could have given this version.

    It takes no larger number, and no other type.
    """
    return isinstance(version, int) and abs(version) < 2**63


def _is_damaged(db: sqlite3.Connection) -> bool:
    return bool(db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
