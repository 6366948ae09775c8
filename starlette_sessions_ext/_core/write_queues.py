"""Queue the writers of one session within an event loop, so that none race."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

Place = tuple[object, str]
"""An event loop and a session's key."""


class WriteQueues:
    """A fair queue per session.

    Hundreds of parallel writers of one session would otherwise lose to each other over and over. A
    writer that is alone needs no queue. Event loops have queues apart: they race, as processes do.
    """

    def __init__(self) -> None:
        self.queues: dict[Place, _Queue] = {}
        self.writing: set[str] = set()
        """Keys for which a write is under way, of whatever event loop."""

    def is_alone(self, key: str) -> bool:
        """Return whether a writer would meet no other, and needs no queue."""
        return key not in self.writing and not (self.queues and (_event_loop(), key) in self.queues)

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a turn, first come first served, and hold it."""
        place = (_event_loop(), key)
        queue = self.queues.setdefault(place, _Queue())
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self.queues[place]


def _event_loop() -> object:
    """Return the running loop of asyncio; elsewhere the thread.

    A thread has one event loop at a time.
    """
    from asyncio import _get_running_loop  # Starlette itself needs asyncio on Python 3.11 and 3.12 only

    return _get_running_loop() or threading.get_ident()


class _Queue:
    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.length = 0
