"""Delete expired rows in throttled batches, so that requests hardly notice.

One large delete holds locks, the writer and the disk for as long as it takes, and requests wait
behind it. A batch takes as long as a few ordinary writes. The pause after it is a multiple of its
duration, so that cleanup uses a fixed share of the store's time, however slow the store is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

PAUSE_FACTOR = 3
"""Pause after a batch, as a multiple of its duration: 3 caps cleanup at 25 % of the time."""


async def delete_in_batches(
    delete_batch: Callable[[int], Awaitable[int]],
    limit: int,
    *,
    batch_size: int,
    pause_factor: int = PAUSE_FACTOR,
    is_over: Callable[[], bool] = lambda: True,
) -> int:
    """Delete up to `limit` expired rows in batches, and return their number.

    `delete_batch` deletes up to the given number of expired rows and returns how many it deleted:
    fewer if there were no more, or some were used in between. After fewer, `is_over` says whether to stop.
    """
    deleted = 0
    while deleted < limit:
        started = anyio.current_time()
        size = min(batch_size, limit - deleted)
        count = await delete_batch(size)
        deleted += count
        if count < size and is_over():
            break
        await anyio.sleep(pause_factor * (anyio.current_time() - started))
    return deleted
