"""Collecting what has expired at a pace that leaves the store to those who use it.

One large delete holds locks, the writer and the disk for as long as it takes, and whoever has a
request waits behind it. So it goes in steps that are as short as a few ordinary writes, with a rest
after each that is a multiple of what the step took: however slow or busy the store is, it spends no
more than a share of its time on collecting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

REST = 3
"""How many times as long as a step the rest after it is: collecting takes a quarter of the time at most."""


async def collect(step: Callable[[int], Awaitable[int]], limit: int, *, size: int, rest: int = REST) -> int:
    """Remove up to `limit` rows, `size` of them at a time, with a `rest` of so many times a step. Says how many.

    `step` removes up to so many rows that have expired, and says how many it did: fewer if no more are left, or
    some were used meanwhile.
    """
    removed = 0
    while removed < limit:
        started = anyio.current_time()
        wanted = min(size, limit - removed)
        count = await step(wanted)
        removed += count
        if count < wanted:
            break
        await anyio.sleep(rest * (anyio.current_time() - started))
    return removed
