"""When a failing store is asked and when it isn't: the state machine, and the guard around the calls."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress

import pytest

from starlette_sessions_ext import ConfigurationError, MemoryStore, SessionTooLarge, StoreTimeout, StoreUnavailable
from starlette_sessions_ext.breaker import FAILURES, PAUSE, Breaker
from starlette_sessions_ext.guard import Guard
from starlette_sessions_ext.testing import FakeClock

KEY, OTHER = "a" * 32, "b" * 32


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(now, PAUSE)
    assert breaker.is_open
    return breaker


def test_a_few_failures_are_no_reason_to_stop_asking() -> None:
    breaker = Breaker()
    for _ in range(10):
        for _ in range(FAILURES - 1):
            breaker.failed(0, PAUSE)
            assert breaker.admits(0, PAUSE)
        breaker.succeeded()
    assert not breaker.is_open


def test_one_probe_per_pause_is_admitted() -> None:
    breaker = opened()
    assert not breaker.admits(PAUSE - 0.01, PAUSE)
    assert [breaker.admits(PAUSE, PAUSE) for _ in range(3)] == [True, False, False]
    breaker.failed(PAUSE, PAUSE)
    assert not breaker.admits(2 * PAUSE - 0.01, PAUSE)
    assert breaker.admits(2 * PAUSE, PAUSE)


def test_a_probe_that_hangs_isnt_waited_for() -> None:
    breaker = opened()
    assert breaker.admits(PAUSE, PAUSE)
    assert breaker.admits(2 * PAUSE, PAUSE)
    breaker.succeeded()
    breaker.failed(2.5 * PAUSE, PAUSE)
    assert not breaker.is_open, "the first probe's end is one failure after a success"


def test_a_probe_that_tells_nothing_lets_the_next_one_go() -> None:
    breaker = opened()
    assert breaker.admits(PAUSE, PAUSE)
    breaker.told_nothing()
    assert breaker.admits(PAUSE, PAUSE)


def test_a_success_closes_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert [breaker.admits(0, PAUSE) for _ in range(3)] == [True, True, True]


def test_calls_that_were_under_way_dont_make_the_pause_longer() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.failed(PAUSE - 0.01, PAUSE)
    assert breaker.admits(PAUSE, PAUSE)


# The guard


class Calls:
    """Calls through a guard; `refused` says whether one wasn't made."""

    def __init__(self, store: MemoryStore) -> None:
        self.clock = FakeClock()
        self.guard = Guard(store, self.clock)

    def fail(self, error: BaseException, operation: str = "load", key: str = KEY, times: int = FAILURES) -> None:
        for _ in range(times):
            with pytest.raises(type(error)):
                with self.guard.watch(operation, key):
                    raise error

    def refused(self, operation: str = "load", key: str = KEY) -> bool:
        made = False
        with suppress(StoreUnavailable):
            with self.guard.watch(operation, key):
                made = True
        return not made


class TwoServers(MemoryStore):
    def server_of(self, key: str) -> Hashable:
        return key[0]


@pytest.fixture
def calls() -> Calls:
    return Calls(MemoryStore())


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreTimeout("slow")])
def test_a_store_that_keeps_failing_isnt_asked(calls: Calls, error: Exception) -> None:
    calls.fail(error, times=FAILURES - 1)
    assert not calls.refused()
    calls.fail(error)
    assert calls.refused()
    calls.clock.advance(1.25 * PAUSE)
    calls.fail(error, times=1)
    assert calls.refused(), "the probe failed"
    calls.clock.advance(1.25 * PAUSE)
    assert [calls.refused() for _ in range(3)] == [False, False, False]


@pytest.mark.parametrize("error", [SessionTooLarge("2 MB"), ConfigurationError("no table"), KeyboardInterrupt()])
def test_what_is_no_outage_doesnt_count(calls: Calls, error: BaseException) -> None:
    calls.fail(error, times=10 * FAILURES)
    assert not calls.refused()


def test_a_probe_that_is_cancelled_is_no_answer(calls: Calls) -> None:
    calls.fail(StoreUnavailable("away"))
    calls.clock.advance(1.25 * PAUSE)
    calls.fail(KeyboardInterrupt(), times=1)
    calls.fail(StoreUnavailable("away"), times=1)
    assert calls.refused()


def test_a_server_that_refuses_writes_is_still_read(calls: Calls) -> None:
    calls.fail(StoreUnavailable("full"), "create")
    assert calls.refused("create")
    assert not any(calls.refused(operation) for operation in ("load", "replace", "touch", "delete"))


def test_one_dead_server_isnt_taken_for_all() -> None:
    calls = Calls(TwoServers())
    calls.fail(StoreUnavailable("away"))
    assert calls.refused(key=KEY)
    assert not calls.refused(key=OTHER)
