"""Around every call to the store: refused at once while its server keeps failing."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from types import TracebackType

from .breaker import PAUSE, Breaker
from .errors import StoreUnavailable
from .stores.base import SessionStore, SupportsSharding


class Guard:
    """One breaker for each operation on each server: one that refuses writes may well answer reads.

    Only `StoreUnavailable` counts as a failure. `clock` gives seconds that never go back.
    """

    def __init__(self, store: SessionStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._sharding = store if isinstance(store, SupportsSharding) else None
        self._clock = clock
        self._watches: defaultdict[Hashable, Watch] = defaultdict(lambda: Watch(Breaker(), clock))

    def watch(self, operation: str, key: str) -> Watch:
        """To be entered for one call. Raises `StoreUnavailable` where the call would fail anyway."""
        server = None if self._sharding is None else self._sharding.server_of(key)
        watch = self._watches[operation, server]
        if not watch.breaker.is_open:
            return watch
        if not watch.breaker.admits(self._clock(), _pause()):
            raise StoreUnavailable("the store kept failing a moment ago; it is asked again within about a second")
        return Probe(watch.breaker, self._clock)


class Watch:
    """Sees how calls end, any number at the same time. No generator: this is on the way of every request."""

    def __init__(self, breaker: Breaker, clock: Callable[[], float]) -> None:
        self.breaker = breaker
        self._clock = clock

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.breaker.succeeded()
        elif issubclass(kind, StoreUnavailable):
            self.breaker.failed(self._clock(), _pause())


class Probe(Watch):
    """Sees how a call ends that finds out whether the server is back."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if kind is not None and not issubclass(kind, StoreUnavailable):
            self.breaker.told_nothing()


def _pause() -> float:
    return PAUSE * (0.75 + random.random() / 2)  # not all processes at once
