"""How long to go on trying, and with which pauses, while parallel requests win."""

from __future__ import annotations

import math
import random

import anyio

from .errors import SessionConflict

CONFLICT_DEADLINE = 10.0
"""Seconds for which a change is merged and tried again while others win."""


class Pauses:
    """Waits between tries, longer and longer and of random length, so that writers don't march in step."""

    def __init__(self) -> None:
        self._deadline = math.inf  # from the first conflict on: most writers meet none
        self._longest = 0.001

    async def wait(self) -> None:
        now = anyio.current_time()
        if now > self._deadline:
            raise SessionConflict(f"other requests kept changing this session for {CONFLICT_DEADLINE:.0f} s")
        self._deadline = min(self._deadline, now + CONFLICT_DEADLINE)
        await anyio.sleep(random.random() * self._longest)
        self._longest = min(2 * self._longest, 0.05)
