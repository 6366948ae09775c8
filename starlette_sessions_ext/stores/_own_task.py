"""Operations in tasks of their own, for a driver that must not be cancelled in the middle of its work.

asyncio cancels a task once. anyio, and so Starlette where it runs a response in a task group, cancels
it again at each await until it ends; a driver that awaits while it cleans up is torn out of that,
and what it was about to give back, such as a connection's place in its pool, is lost for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Leaves(Protocol):
    """A store, with what cancelled callers have left running, by key."""

    _left: dict[str, asyncio.Task[Any]]


S = TypeVar("S", bound=Leaves)
Operation = Callable[Concatenate[S, str, P], Coroutine[Any, Any, T]]


def in_own_task(operation: Operation[S, P, T]) -> Operation[S, P, T]:
    """Let an operation on a key end by itself, within its own deadline, also if its caller is cancelled.

    What is asked of the same key next waits for that, so that it isn't overtaken.
    """

    @wraps(operation)
    async def run(store: S, key: str, /, *arguments: P.args, **options: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        earlier = store._left.get(key)
        if earlier is not None and earlier.get_loop() is loop:
            await asyncio.wait([earlier])
        task = loop.create_task(operation(store, key, *arguments, **options))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            store._left[key] = task
            task.add_done_callback(lambda task: _forget(store, key, task))
            raise

    return run


def _forget(store: Leaves, key: str, task: asyncio.Task[Any]) -> None:
    if store._left.get(key) is task:
        del store._left[key]
    _ = task.cancelled() or task.exception()  # which nobody waits for
