"""Time as an event loop keeps it: on a busy machine less than on the clock.

It is never more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Ticks:
    """The number of steps in a `counting_ticks` block."""

    def __init__(self) -> None:
        self.count = 0


@asynccontextmanager
async def counting_ticks(every: float) -> AsyncIterator[Ticks]:
    """Count how often a task of this event loop sleeps `every` seconds.

    An upper bound for the count holds on a busy machine too: where the loop wakes late, so does
    this task, and what the block waits for takes fewer ticks, not more.
    """
    ticks = Ticks()

    async def tick() -> None:
        while True:
            await anyio.sleep(every)
            ticks.count += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        yield ticks
        group.cancel_scope.cancel()
