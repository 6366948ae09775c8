"""Batch calls made in the same iteration of the event loop.

A client of a database spends far more time on a command than on the keys in it, so concurrent
requests share one. A batch is sent after all of its calls were made: what was read before a write
was acknowledged never answers a call made after it. Each call gets its own result, also where two
calls have the same argument.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Generic, TypeVar

from .shielding import wait_all

A = TypeVar("A")
R = TypeVar("R")


class Batcher(Generic[A, R]):
    """Run `execute` on up to `max_size` arguments at a time.

    It returns one result or exception for each. A batch is cancelled after `timeout` seconds, if there is
    one. Cancelling a caller doesn't affect the other callers of its batch.
    """

    def __init__(
        self, execute: Callable[[list[A]], Awaitable[Sequence[R | Exception]]], *, max_size: int, timeout: float | None
    ) -> None:
        self.max_size = max_size
        self._execute = execute
        self._timeout = timeout
        self._batch: list[tuple[A, asyncio.Future[R]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, argument: A) -> asyncio.Future[R]:
        """Add a call to the batch of this event-loop iteration.

        Return the future of its result.
        """
        loop = asyncio.get_running_loop()
        if not 0 < len(self._batch) < self.max_size or self._loop is not loop:
            self._batch, self._loop = [], loop
            task = loop.create_task(self._run(self._batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future: asyncio.Future[R] = loop.create_future()
        self._batch.append((argument, future))
        return future

    async def wait_all(self, seconds: float | None = None) -> None:
        """Wait for the batches running in this event loop.

        Batches whose callers have left are included.
        """
        await wait_all(self._tasks, seconds)

    async def _run(self, batch: list[tuple[A, asyncio.Future[R]]]) -> None:
        if self._batch is batch:
            self._batch = []
        try:
            arguments = [argument for argument, _ in batch]
            if self._timeout is None:
                results = await self._execute(arguments)
            else:
                async with asyncio.timeout(self._timeout):
                    results = await self._execute(arguments)
        except Exception as error:
            results = [_copy(error) for _ in batch]  # each is raised in another task
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue  # its caller was cancelled
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _copy(error: Exception) -> Exception:
    """Return an equal error with the same cause."""
    own = copy(error)
    own.__cause__ = error.__cause__ or error.__context__
    return own
