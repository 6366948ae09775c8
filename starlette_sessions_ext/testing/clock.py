"""Time that stands still until a test moves it."""

from __future__ import annotations

import time


class FakeClock:
    """A clock to inject, which moves by `advance` only.

    It starts at the present whole second (unix time).
    """

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
