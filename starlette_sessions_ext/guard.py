"""Circuit breakers around the calls to a store."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from types import TracebackType

from .breaker import PAUSE, Breaker
from .errors import SessionUnavailable, StoreFull, StoreUnavailable
from .stores.base import SessionStore, SupportsSharding


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
    """Notes how one call ends. No generator: this is on the way of every request."""

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
    """Notes how a call ends that finds out whether the server is back."""

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
