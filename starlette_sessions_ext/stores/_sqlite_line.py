"""A connection to SQLite, and who waits for it.

Calls that come while the disk is busy wait together, and whoever is first in line runs all of them in
one transaction on a worker thread: the event loop never blocks, and many writes share one sync to disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class _Job(Generic[T]):
    """Something to do with the connection, and how it went."""

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.work = work
        self.done = False
        self.error: Exception | None = None
        self.result: T


class Line:
    """A connection, and who waits for it. The first in line runs all of them in one transaction.

    `committing` is called at the end of each.
    """

    def __init__(
        self, connection: sqlite3.Connection, begin: str, committing: Callable[[], object] = lambda: None
    ) -> None:
        self._connection = connection
        self._begin = begin
        self._committing = committing
        self._turn = anyio.Lock(fast_acquire=True)
        self._limiter = anyio.CapacityLimiter(1)
        self._waiting: list[_Job[object]] = []

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        job: _Job[T] = _Job(work)
        self._waiting.append(job)  # type: ignore[arg-type]
        try:
            async with self._turn:
                if not job.done:
                    await self._lead()
        finally:
            if job in self._waiting:  # cancelled before anybody took it up: it must not run later
                self._waiting.remove(job)  # type: ignore[arg-type]
        if job.error is not None:
            raise job.error
        return job.result

    async def _lead(self) -> None:
        jobs, self._waiting = self._waiting, []
        try:
            await anyio.to_thread.run_sync(self._run_all, jobs, limiter=self._limiter)
        finally:
            self._waiting[:0] = [job for job in jobs if not job.done]  # cancelled before the thread took them up

    async def aclose(self) -> None:
        async with self._turn:
            await anyio.to_thread.run_sync(self._connection.close)

    def _run_all(self, jobs: list[_Job[object]]) -> None:
        """Run the jobs in one transaction: all are committed before any is told so. Runs on a thread."""
        try:
            self._connection.execute(self._begin)
            for job in jobs:
                job.result = job.work(self._connection)
            self._committing()  # before it, so that who is told of an error here hasn't written anything
            self._connection.execute("COMMIT")
        except Exception as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for job in jobs:
                job.error = error
        for job in jobs:
            job.done = True
