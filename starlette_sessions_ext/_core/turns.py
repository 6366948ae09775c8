"""Writers of one session take turns within an event loop, instead of racing each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

Place = tuple[object, str]
"""An event loop and a session's key."""


class Turns:
    """A fair queue per session.

    Hundreds of parallel writers of one session would otherwise lose to each other over and over. A
    writer that is alone needs no queue. Event loops have queues apart: they race, as processes do.
    """

    def __init__(self) -> None:
        self._writers: dict[Place, _Queue | Place] = {}  # a place: a writer that is alone

    def begin_alone(self, key: str) -> Place | None:
        """Begin to write without waiting; None if there are other writers. `end_alone` has to follow."""
        place = (_event_loop(), key)
        if place in self._writers:
            return None
        self._writers[place] = place
        return place

    def end_alone(self, place: Place) -> None:
        """End what `begin_alone` began. Others may have begun, and ended, to queue in between."""
        if self._writers.get(place) is place:
            del self._writers[place]

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a turn, first come first served, and hold it."""
        place = (_event_loop(), key)
        queue = self._writers.get(place)
        if not isinstance(queue, _Queue):
            queue = self._writers[place] = _Queue()
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._writers[place]


def _event_loop() -> object:
    """Return the running loop of asyncio; elsewhere the thread, which has one event loop at a time."""
    return asyncio._get_running_loop() or threading.get_ident()


class _Queue:
    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.length = 0
