"""Around every call to the store: refused at once while its server keeps failing."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

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

    @contextmanager
    def watch(self, operation: str, key: str) -> Iterator[None]:
        """Raise `StoreUnavailable` without a call where it would fail anyway; otherwise see how it ends."""
        server = None if self._sharding is None else self._sharding.server_of(key)
        breaker = self._breakers[operation, server]
        is_probe = breaker.is_open
        if not breaker.admits(self._clock()):
            raise StoreUnavailable("the store kept failing a moment ago; it is asked again within about a second")
        try:
            yield
            breaker.succeeded()
        except StoreUnavailable:
            breaker.failed(self._clock(), PAUSE * (0.75 + random.random() / 2))  # not all processes at once
            raise
        finally:
            if is_probe:
                breaker.released()
