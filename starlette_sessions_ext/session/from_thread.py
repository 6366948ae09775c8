"""Run a coroutine function on the event loop, from a thread of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple, Unpack

from ..errors import SessionError

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class NotInThread(SessionError):
    """The call came from the event loop, or from a thread that it hasn't started."""


def run_on_event_loop(function: Callable[[Unpack[Arguments]], Awaitable[T]], *arguments: *Arguments) -> T:
    """Call a coroutine function and wait for it. Raises `NotInThread`."""
    from anyio import from_thread  # it loads modules that take longer than all of ours

    has_begun = False

    async def run() -> T:
        nonlocal has_begun
        has_begun = True
        return await function(*arguments)

    try:
        return from_thread.run(run)
    except RuntimeError:
        if has_begun:
            raise
    raise NotInThread(
        "this is for plain `def` endpoints, which the framework runs in a thread: on the event loop await `save` or "
        "`atomic` instead, and start threads with `anyio.to_thread.run_sync`"
    )
