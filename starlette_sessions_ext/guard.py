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
        self._breakers: defaultdict[Hashable, Breaker] = defaultdict(Breaker)

    def watch(self, operation: str, key: str) -> Watch:
        """To be entered for one call. Raises `StoreUnavailable` where the call would fail anyway."""
        server = None if self._sharding is None else self._sharding.server_of(key)
        breaker = self._breakers[operation, server]
        is_probe = breaker.is_open
        if is_probe and not breaker.admits(self._clock()):
            raise StoreUnavailable("the store kept failing a moment ago; it is asked again within about a second")
        return Watch(breaker, self._clock, is_probe)


class Watch:
    """Sees how one call ends. No generator: this is on the way of every request."""

    __slots__ = ("_breaker", "_clock", "_is_probe")

    def __init__(self, breaker: Breaker, clock: Callable[[], float], is_probe: bool) -> None:
        self._breaker = breaker
        self._clock = clock
        self._is_probe = is_probe

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._breaker.succeeded()
        elif issubclass(kind, StoreUnavailable):
            self._breaker.failed(self._clock(), PAUSE * (0.75 + random.random() / 2))  # not all processes at once
        if self._is_probe:
            self._breaker.released()
