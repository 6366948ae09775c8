"""Circuit breakers: stop asking a store that keeps failing.

A dead store would otherwise hold every request for the whole deadline of its call, and a store
that comes back would meet all of them at once. One session that fails says nothing of the store: its
row may be locked. So only failures of different sessions open a breaker. Times are in seconds.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from types import TracebackType

from ..errors import SessionUnavailable, StoreFull, StoreUnavailable
from ..stores.base import SessionStore, SupportsSharding

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


class Guard:
    """Keep one breaker for each operation on each server.

    A server that refuses writes may well answer reads. Only `StoreUnavailable` counts as a failure.
    Its subclasses `SessionUnavailable` and `StoreFull` don't: with them a server answers that it
    can't serve one session. `clock` gives seconds that never go back.
    """

    def __init__(self, store: SessionStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._sharding = store if isinstance(store, SupportsSharding) else None
        self._clock = clock
        self._breakers: defaultdict[Hashable, Breaker] = defaultdict(Breaker)
        self.failing: set[Breaker] = set()
        """Those that have seen a failure since their last success; while there are none a success needn't be noted."""

    def watch(self, operation: str, key: str) -> Watch:
        """Watch one call. Raise `StoreUnavailable` while its breaker is open."""
        if not self.failing:
            return Watch(self, operation, key)
        breaker = self._breaker(operation, key)
        if not breaker.is_open:
            return Watch(self, operation, key)
        if not breaker.admits(key, self._clock(), _pause()):
            raise StoreUnavailable("the store kept failing a moment ago; it is asked again within about a second")
        return Trial(self, operation, key)

    def succeeded(self, operation: str, key: str) -> None:
        """Note that a call succeeded; may be left out while nothing is `failing`."""
        breaker = self._breaker(operation, key)
        breaker.succeeded()
        self.failing.discard(breaker)

    def failed(self, operation: str, key: str, error: BaseException) -> None:
        """Note how a call failed."""
        if counts(error):
            breaker = self._breaker(operation, key)
            breaker.failed(key, self._clock(), _pause())
            self.failing.add(breaker)

    def trial_ended_without_result(self, operation: str, key: str) -> None:
        """Note that a trial call was cancelled, or answered about one session alone."""
        self._breaker(operation, key).trial_ended_without_result()

    def _breaker(self, operation: str, key: str) -> Breaker:
        return self._breakers[operation, None if self._sharding is None else self._sharding.server_of(key)]


class Watch:
    """Note how one call ends.

    It is no generator, since every request uses it.
    """

    __slots__ = ("guard", "key", "operation")

    def __init__(self, guard: Guard, operation: str, key: str) -> None:
        self.guard = guard
        self.operation = operation
        self.key = key

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.guard.failed(self.operation, self.key, error)
        elif self.guard.failing:
            self.guard.succeeded(self.operation, self.key)


class Trial(Watch):
    """Note the end of a call that finds out whether the server is back."""

    __slots__ = ()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if error is not None and not counts(error):
            self.guard.trial_ended_without_result(self.operation, self.key)


def counts(error: BaseException) -> bool:
    """Return whether an error is an outage, not an answer about one session."""
    return isinstance(error, StoreUnavailable) and not isinstance(error, SessionUnavailable | StoreFull)


def _pause() -> float:
    return PAUSE * (0.75 + random.random() / 2)  # not all processes at once
