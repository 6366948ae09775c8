"""Circuit breaker: stop asking a store that keeps failing. Pure: times are given.

A dead store would otherwise hold every request for the whole deadline of its call, and a store
that comes back would meet all of them at once. One session that fails says nothing of the store: its
row may be locked. So only failures of different sessions open the breaker. Times are in seconds.
"""

from __future__ import annotations

FAILURES = 3
"""Different sessions whose calls fail in a row before calls are refused; fewer may be one broken connection."""

PAUSE = 1.0
"""Seconds, more or less, for which calls are refused before a trial call: short enough to go unnoticed."""

REPEAT = 3
"""Pauses before the session of one trial call makes another: no other session has asked since."""


class Breaker:
    """Admit every call while closed, and one trial call per pause while open.

    Failures of `FAILURES` sessions in a row open it. Any success closes it, also that of a call which
    was under way before. The next trial doesn't wait for the end of the one before: that one may hang
    until its deadline, on a dead connection, while the server is back.

    A trial is never made for the session of the trial before while others ask: that one row may be
    what fails. A session that asks alone makes a trial every `REPEAT` pauses.
    """

    __slots__ = ("_failed", "_repeat_at", "_retry_at", "_tried")

    def __init__(self) -> None:
        self._failed: set[str] = set()  # never more than `FAILURES` keys
        self._retry_at = 0.0
        self._tried = ""  # the key of the last trial
        self._repeat_at = 0.0  # when that key may be tried again

    @property
    def is_open(self) -> bool:
        return len(self._failed) >= FAILURES

    def admits(self, key: str, now: float, pause: float) -> bool:
        """Return whether a call may be made.

        While the breaker is open that makes it a trial, and the next one waits for `pause`.
        """
        if not self.is_open:
            return True
        if now < self._retry_at or (key == self._tried and now < self._repeat_at):
            return False
        self._tried = key
        self._retry_at = now + pause
        self._repeat_at = now + REPEAT * pause
        return True

    def succeeded(self) -> None:
        """Note that a call succeeded: the server is there."""
        self._failed.clear()
        self._tried = ""

    def failed(self, key: str, now: float, pause: float) -> None:
        """Note that a call failed.

        Calls that fail during a pause were under way before, and don't make it longer.
        """
        if not self.is_open:
            self._failed.add(key)
        if now >= self._retry_at:
            self._retry_at = now + pause

    def trial_ended_without_result(self) -> None:
        """Let another session make a trial at once: this one neither succeeded nor failed."""
        self._retry_at = 0.0
