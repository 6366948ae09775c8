"""Group commit: calls that wait for the disk share one transaction and sync.

The first in the queue (the leader) runs all of them on a worker thread, so the event loop never blocks. Each event
loop has a queue; the batches of several loops take turns on the connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ...errors import StoreTimeout
from .connections import Connection, Connections
from .database_file import execute_when_unlocked

T = TypeVar("T")


class _Job(Generic[T]):
    """A call to make with the connection, and its outcome."""

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.work = work
        self.done = False
        self.error: Exception | None = None
        self.result: T


class _Queue:
    """The calls of one event loop.

    The queue holds nothing that has to be closed when the loop ends.
    """

    def __init__(self) -> None:
        self.turn = anyio.Lock(fast_acquire=True)
        self.limiter = anyio.CapacityLimiter(1)
        self.waiting: list[_Job[object]] = []


class GroupCommit:
    """Run calls on one of the connections.

    `on_commit` is called at the end of each transaction.
    """

    def __init__(
        self,
        connections: Connections,
        connection: Connection,
        begin: str,
        on_commit: Callable[[], object] = lambda: None,
    ) -> None:
        self._connections = connections
        self._connection = connection
        self._begin = begin
        self._on_commit = on_commit
        self._forget_queues()
        connections.in_child.append(self._forget_queues)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction, and return its result when that is committed.

        Raises what `work` raises, or a StoreError. `work` may run more than once, with only the last one
        committed.
        """
        queue = self._queue()
        job: _Job[T] = _Job(work)
        queue.waiting.append(job)  # type: ignore[arg-type]
        try:
            async with queue.turn:
                if not job.done:
                    await self._lead(queue)
        finally:
            if not job.done and job in queue.waiting:  # cancelled before the writer took it up: it must not run later
                queue.waiting.remove(job)  # type: ignore[arg-type]
        if job.error is not None:
            raise job.error
        return job.result

    async def _lead(self, queue: _Queue) -> None:
        jobs, queue.waiting = queue.waiting, []
        try:
            await anyio.to_thread.run_sync(self._run_batch, jobs, limiter=queue.limiter)
        finally:
            queue.waiting[:0] = [job for job in jobs if not job.done]  # cancelled before the thread took them up

    def _queue(self) -> _Queue:
        queue = self._queues.get(None)
        if queue is None:
            queue = _Queue()
            self._queues.set(queue)
        return queue

    def _forget_queues(self) -> None:
        self._queues: RunVar[_Queue | None] = RunVar("calls that wait for SQLite")

    def _run_batch(self, jobs: list[_Job[object]]) -> None:
        """Deliver results after COMMIT. Runs on a thread.

        An error undoes the whole transaction. One job may have caused it, such as a session that the disk
        has no room for. So each then gets a transaction, except where the file is locked.
        """
        try:
            error = self._connection.run(partial(self._transact, jobs))
            may_be_one = error is not None and not isinstance(error, StoreTimeout)
        except Exception as failure:
            error, may_be_one = failure, False
        if may_be_one and len(jobs) > 1:
            for job in jobs:
                self._run_batch([job])
            return
        for job in jobs:
            job.error = error
            job.done = True

    def _transact(self, jobs: list[_Job[object]], db: sqlite3.Connection) -> Exception | None:
        """Run the jobs, and return the error of one of them or of the commit.

        Raises what keeps any transaction from beginning.
        """
        execute_when_unlocked(db, self._begin, self._connections.file.timeout)
        try:
            with self._connections.translate_errors():
                for job in jobs:
                    job.result = job.work(db)
                self._on_commit()  # before it: what raises in here isn't committed
                db.execute("COMMIT")
        except Exception as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            return error
        return None
