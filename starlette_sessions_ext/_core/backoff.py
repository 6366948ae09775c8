"""Exponential backoff with full jitter, for a write that others keep overtaking."""

from __future__ import annotations

import math
import random

import anyio

from ..errors import SessionConflict

CONFLICT_DEADLINE = 10.0
"""Seconds for which a change is merged and tried again while other processes win."""


class Backoff:
    """Pauses between tries, each at most twice as long as the one before."""

    def __init__(self) -> None:
        self._deadline = math.inf  # from the first pause on: most writers need none
        self._longest = 0.001

    async def sleep(self) -> None:
        """Pause before the next try.

        Raises `SessionConflict` once `CONFLICT_DEADLINE` has passed since the first pause.
        """
        now = anyio.current_time()
        if now > self._deadline:
            raise SessionConflict(f"other requests kept changing this session for {CONFLICT_DEADLINE:.0f} s")
        self._deadline = min(self._deadline, now + CONFLICT_DEADLINE)
        await anyio.sleep(random.random() * self._longest)
        self._longest = min(2 * self._longest, 0.05)
