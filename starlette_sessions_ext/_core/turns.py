"""Writers of one session take turns within a process, instead of racing each other."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Turns:
    """A fair queue per session key.

    Hundreds of parallel writers of one session would otherwise lose to each other over and over. A
    writer that is alone needs no queue. Event loops in different threads have queues apart: they
    race, as processes do.
    """

    def __init__(self) -> None:
        self._writers: dict[tuple[int, str], _Queue | None] = {}  # None: one that is alone

    def begin_alone(self, key: str) -> bool:
        """Begin to write without waiting, unless there are other writers. `end_alone` has to follow."""
        place = (threading.get_ident(), key)
        if place in self._writers:
            return False
        self._writers[place] = None
        return True

    def end_alone(self, key: str) -> None:
        """End what `begin_alone` began. Others may have begun to queue in between."""
        place = (threading.get_ident(), key)
        if self._writers[place] is None:
            del self._writers[place]

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a turn, first come first served, and hold it."""
        place = (threading.get_ident(), key)
        queue = self._writers.get(place)
        if queue is None:
            queue = self._writers[place] = _Queue()
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._writers[place]


class _Queue:
    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.length = 0
