"""When to ask a store that keeps failing, and when to refuse at once. Pure: times are given, in seconds.

A dead store would otherwise hold every request for the whole deadline of its call, and a store
that comes back would meet all of them at once.
"""

from __future__ import annotations

FAILURES = 3
"""Consecutive failures after which calls are refused; fewer may be one broken connection."""

PAUSE = 1.0
"""Seconds, more or less, for which calls are refused before one of them probes: short enough to go unnoticed."""


class Breaker:
    """Closed it admits every call. After `FAILURES` in a row it is open: it admits one probe per pause.

    The next probe doesn't wait for the end of the one before, which may hang until its deadline on
    a connection that is dead, while the server is back. Any success closes the breaker, also that
    of a call which was under way before.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES

    def admits(self, now: float, pause: float) -> bool:
        """Whether a call may be made. While open that makes it the probe, and the next one waits for `pause`."""
        if not self.is_open:
            return True
        if now < self._retry_at:
            return False
        self._retry_at = now + pause
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float, pause: float) -> None:
        """A call failed. Those that fail during a pause were under way before, and don't make it longer."""
        self._failures += 1
        if now >= self._retry_at:
            self._retry_at = now + pause

    def told_nothing(self) -> None:
        """The probe has ended neither way: another one may go."""
        self._retry_at = 0.0
