"""Writers of one session take turns within a process, instead of racing each other."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Turns:
    """A fair queue per session key, for writers that met a conflict.

    Hundreds of parallel writers of one session would otherwise lose to each other over and over.
    Event loops in different threads have queues apart: they race, as processes do.
    """

    def __init__(self) -> None:
        self._queues: dict[tuple[int, str], _Queue] = {}

    def is_contended(self, key: str) -> bool:
        """Return whether writers of this session are queueing."""
        return bool(self._queues) and (threading.get_ident(), key) in self._queues

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a turn, first come first served, and hold it."""
        place = (threading.get_ident(), key)
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = _Queue()
        queue.writers += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.writers -= 1
            if not queue.writers:
                del self._queues[place]


class _Queue:
    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.writers = 0
