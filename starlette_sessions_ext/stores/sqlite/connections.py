"""The connections of one SQLite store, for all loops, threads and forks.

There are three, all of one file: WAL mode lets one read while another writes, and the third copies the log.
They are opened and closed together. Before each use the file at the path is compared with the one that is
open: if it was removed or replaced, all three are opened anew. A process closes them before it forks, because
a connection of SQLite must not be carried over a fork (sqlite.org/howtocorrupt.html); parent and child open
again at their next use.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

from ...errors import StoreTimeout, StoreUnavailable
from .database_file import DatabaseFile, Identity
from .errors import to_store_error

T = TypeVar("T")


class Connection:
    """One of the three connections. One thread at a time uses it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.lock = threading.Lock()
        self.db: sqlite3.Connection | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the file that is at the path before and after it. Blocks.

        `work` runs again if the file was replaced in between, for what it wrote is in the old file.
        """
        deadline = time.monotonic() + self._connections.file.timeout
        while True:
            with self.held():
                if self._connections.are_current():
                    result = work(self._open_db())
                    if self._connections.are_current():
                        return result
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"{self._connections.file.path} was removed or replaced under every attempt to use it: "
                    "find the program that does it, and stop it"
                )
            self._connections.renew()

    def run_if_current(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run `work` if the connection is open on the file that is at the path.

        Otherwise return None. Blocks.
        """
        with self.held():
            return work(self._open_db()) if self._connections.are_current() else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the thread that uses the connection, and translate errors.

        What SQLite raises is raised as our errors.
        """
        if not self.lock.acquire(timeout=self._connections.file.timeout):
            raise StoreTimeout(f"{self._connections.file.path} was busy for longer than the timeout")
        try:
            with self._connections.translate_errors():
                yield
        finally:
            self.lock.release()

    def _open_db(self) -> sqlite3.Connection:
        assert self.db is not None
        return self.db


class Connections:
    """The connections of one store.

    A forked process calls `in_child`: it has none of its parent's threads.
    """

    def __init__(self, file: DatabaseFile) -> None:
        self.file = file
        self.reader, self.writer, self.copier = Connection(self), Connection(self), Connection(self)
        self.in_child: list[Callable[[], object]] = []
        self.on_open: Callable[[], object] = lambda: None
        self._all = (self.reader, self.writer, self.copier)
        self._renewing = threading.Lock()
        self._identity: Identity | None = None
        self._sidecars: dict[str, Identity] = {}
        self._process = 0
        _existing.add(self)

    def are_current(self) -> bool:
        """Return whether they are open on the file that is at the path now.

        Call it with a connection held.

        Raises `StoreUnavailable` in a process that was forked without Python's knowledge.
        """
        if self._identity is None:
            return False
        if self._process != os.getpid():
            raise StoreUnavailable("this process was forked without Python's knowledge: make the store after the fork")
        return self.file.identity() == self._identity

    def renew(self) -> None:
        """Open them on the file that is at the path now, if they aren't. Blocks."""
        with self._all_held():
            if self.are_current():
                return
            with self.translate_errors():
                self.file.make(former=self._sidecars)
                self._close()
                self._open()
        self.on_open()

    def close(self) -> None:
        """Close them. The next use opens them again. Blocks."""
        with self._all_held():
            self._close()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise SQLite's and the system's errors as ours."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self.to_store_error(error) from error

    def to_store_error(self, error: sqlite3.Error | OSError) -> StoreUnavailable:
        return to_store_error(error, self.file.path, self.file.timeout)

    def before_fork(self) -> None:
        """Wait until no thread is in SQLite, and close.

        Nothing uses the connections until `after_fork`.
        """
        for lock in self._locks():
            lock.acquire()
        self._close()

    def after_fork(self) -> None:
        for lock in self._locks():
            lock.release()

    @contextmanager
    def _all_held(self) -> Iterator[None]:
        """Hold all connections.

        No thread waits for this while it holds one of them, so all can be had.
        """
        with ExitStack() as held:
            held.enter_context(self._renewing)
            for connection in self._all:
                held.enter_context(connection.held())
            yield

    def _locks(self) -> list[threading.Lock]:
        return [self._renewing, *(connection.lock for connection in self._all)]

    def _open(self) -> None:
        identity = self.file.identity()  # before opening: if another file comes in between, it is noticed
        try:
            for connection in self._all:
                connection.db = self.file.connect()
            self.file.prepare(db := self.writer._open_db())
            db.execute("PRAGMA busy_timeout = 0")  # `execute_when_unlocked` waits
        except BaseException:
            self._close()
            raise
        self._identity, self._sidecars, self._process = identity, self.file.sidecars(), os.getpid()

    def _close(self) -> None:
        self._identity, self._sidecars = None, {}
        for connection in self._all:
            db, connection.db = connection.db, None
            if db is not None:
                with suppress(sqlite3.Error):  # a failing disk; what was acknowledged is in the log
                    db.close()


_existing: weakref.WeakSet[Connections] = weakref.WeakSet()
_forking = threading.Lock()
_held: list[Connections] = []
"""Those that the fork under way stopped."""


def _before_fork() -> None:
    _forking.acquire()  # of two threads that fork at once, each would hold what the other waits for
    _held.extend(_existing)
    for connections in _held:
        connections.before_fork()


def _after_fork_in_parent() -> None:
    for connections in _held:
        connections.after_fork()
    _held.clear()
    _forking.release()


def _after_fork_in_child() -> None:
    for connections in _held:
        for forget in connections.in_child:
            forget()
    _after_fork_in_parent()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
