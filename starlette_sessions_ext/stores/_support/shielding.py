"""Operations in tasks of their own, for a driver that must not be cancelled in the middle of its work.

asyncio cancels a task once. anyio, and so Starlette where it runs a response in a task group, cancels
it again at each await until it ends; a driver that awaits while it cleans up is torn out of that,
and what it was about to give back, such as a connection's place in its pool, is lost for good.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from itertools import chain
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ...errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")


class Left:
    """The operations that went on when their callers didn't wait any longer, by key; "" where they have none."""

    def __init__(self) -> None:
        self._tasks: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)

    def add(self, key: str, task: asyncio.Task[Any]) -> None:
        self._tasks[key].add(task)
        task.add_done_callback(lambda task: self._forget(key, task))

    async def ended(self, key: str | None, seconds: float) -> bool:
        """Wait for those of a key, or for all: whether they ended in time."""
        return await ended(self._tasks.get(key, ()) if key is not None else chain(*self._tasks.values()), seconds)

    def _forget(self, key: str, task: asyncio.Task[Any]) -> None:
        self._tasks[key].discard(task)
        if not self._tasks[key]:
            del self._tasks[key]
        _ = task.cancelled() or task.exception()  # which nobody waits for


class Leaves(Protocol):
    """A store with such operations, and `_timeout` seconds for each."""

    _timeout: float

    @property
    def _left(self) -> Left:
        """Those of the running event loop."""
        ...

    def _late(self) -> StoreError: ...


S = TypeVar("S", bound=Leaves)
Operation = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def in_own_task(operation: Operation[S, P, T]) -> Operation[S, P, T]:
    """Let an operation end by itself: its caller may be cancelled, and waits for no longer than the timeout.

    What is asked of the same key next waits for what was left running, so as not to overtake it.
    """

    @wraps(operation)
    async def run(store: S, /, *arguments: P.args, **options: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + store._timeout
        key = next((one for one in arguments if isinstance(one, str)), "")
        left = store._left
        if not await left.ended(key, store._timeout):
            raise store._late()
        task = loop.create_task(operation(store, *arguments, **options))
        try:
            if not await ended([task], deadline - loop.time()):
                raise store._late()
        finally:
            if not task.done():
                left.add(key, task)
        return task.result()

    return run


async def ended(tasks: Iterable[asyncio.Future[Any]], seconds: float | None) -> bool:
    """Wait for tasks or futures of this event loop, without taking them along if this wait is cancelled."""
    loop = asyncio.get_running_loop()
    mine = [task for task in tasks if task.get_loop() is loop]
    return not mine or not (await asyncio.wait(mine, timeout=seconds))[1]
