"""Shield operations from cancellation, for drivers that can't bear it.

Such a driver must not be cancelled in the middle of its work. asyncio cancels a task once. anyio, and so
Starlette where it runs a response in a task group, cancels it again at each await until it ends. A driver
that awaits while it cleans up is interrupted there, and what it was about to return, such as a connection's
place in its pool, is lost for good.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from itertools import chain
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ...errors import StoreError
from .loop_local import running_loop

P = ParamSpec("P")
T = TypeVar("T")


class DetachedTasks:
    """Operations that still run after their caller left.

    They are listed by session key, or "" if they have none.
    """

    def __init__(self) -> None:
        self._tasks: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)

    def add(self, key: str, task: asyncio.Task[Any]) -> None:
        self._tasks[key].add(task)
        task.add_done_callback(lambda task: self._forget(key, task))

    async def wait_all(self, key: str | None, seconds: float) -> bool:
        """Wait for the tasks of a key, or for all if it is None.

        Return whether they ended in time.
        """
        return await wait_all(self._tasks.get(key, ()) if key is not None else chain(*self._tasks.values()), seconds)

    def _forget(self, key: str, task: asyncio.Task[Any]) -> None:
        self._tasks[key].discard(task)
        if not self._tasks[key]:
            del self._tasks[key]
        _ = task.cancelled() or task.exception()  # no caller waits for it


class SupportsShielding(Protocol):
    """A store with shielded operations. `_timeout` is in seconds, for each of them."""

    _timeout: float

    @property
    def _detached(self) -> DetachedTasks:
        """The operations of the running event loop."""
        ...

    def _timeout_error(self) -> StoreError: ...


S = TypeVar("S", bound=SupportsShielding)
Operation = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def shielded(operation: Operation[S, P, T]) -> Operation[S, P, T]:
    """Run an operation in a separate task, so that cancellation doesn't interrupt it.

    Neither cancelling the caller nor its timeout interrupts the driver. The next operation on the same key
    waits for a detached one, so that it can't overtake it.
    """

    @wraps(operation)
    async def run(store: S, /, *arguments: P.args, **options: P.kwargs) -> T:
        loop = running_loop()
        deadline = loop.time() + store._timeout
        named = options.get("key")
        key = named if isinstance(named, str) else next((one for one in arguments if isinstance(one, str)), "")
        detached = store._detached
        if not await detached.wait_all(key, store._timeout):
            raise store._timeout_error()
        task = loop.create_task(operation(store, *arguments, **options))
        try:
            if not await wait_all([task], deadline - loop.time()):
                raise store._timeout_error()
        finally:
            if not task.done():
                detached.add(key, task)
        return task.result()

    return run


async def wait_all(futures: Iterable[asyncio.Future[Any]], seconds: float | None) -> bool:
    """Wait for the futures of this event loop, and return whether all are done.

    Cancelling the wait cancels none of them.
    """
    loop = asyncio.get_running_loop()
    mine = [future for future in futures if future.get_loop() is loop]
    return not mine or not (await asyncio.wait(mine, timeout=seconds))[1]
