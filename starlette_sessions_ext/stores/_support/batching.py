"""What many callers ask in one turn of the event loop, asked together.

A client of a database spends far more time on a command than on what the command is about. Where
many requests are under way at the same time, their questions share one. Each is sent after it was
asked, and none takes the answer of another, also not to the same question: what was read before a
write was acknowledged never answers somebody who asks after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Generic, TypeVar

from .shielding import ended

Q = TypeVar("Q")
A = TypeVar("A")


class Gathering(Generic[Q, A]):
    """`ask` is given questions, `most` at a time, and returns as many answers; an exception among them is raised.

    It is given up after `seconds`, if it doesn't end by itself. Its callers may stop waiting before: that
    takes nothing from the others.
    """

    def __init__(
        self, ask: Callable[[list[Q]], Awaitable[Sequence[A | Exception]]], *, most: int, seconds: float | None
    ) -> None:
        self.most = most
        self._ask = ask
        self._seconds = seconds
        self._gathered: list[tuple[Q, asyncio.Future[A]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, question: Q) -> asyncio.Future[A]:
        """Ask, together with whoever else does in this turn of the event loop; to be awaited for the answer."""
        loop = asyncio.get_running_loop()
        if not 0 < len(self._gathered) < self.most or self._loop is not loop:
            self._gathered, self._loop = [], loop
            task = loop.create_task(self._run(self._gathered))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        answer: asyncio.Future[A] = loop.create_future()
        self._gathered.append((question, answer))
        return answer

    async def ended(self, seconds: float | None = None) -> None:
        """Wait for what is under way in this event loop, also where nobody else does any longer."""
        await ended(self._tasks, seconds)

    async def _run(self, gathered: list[tuple[Q, asyncio.Future[A]]]) -> None:
        if self._gathered is gathered:
            self._gathered = []
        try:
            async with asyncio.timeout(self._seconds):
                answers = await self._ask([question for question, _ in gathered])
        except Exception as error:
            answers = [_copy(error) for _ in gathered]  # each is raised in a task of its own
        for (_, future), answer in zip(gathered, answers, strict=True):
            if future.done():
                continue  # whoever asked has gone
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _copy(error: Exception) -> Exception:
    """The same error, with what it was raised for."""
    own = copy(error)
    own.__cause__ = error.__cause__ or error.__context__
    return own
