"""When a failing store is asked and when it isn't: the state machine, and the guard around the calls."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress

import pytest

from starlette_sessions_ext import (
    ConfigurationError,
    MemoryStore,
    SessionTooLarge,
    SessionUnavailable,
    StoreFull,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext._core.circuit_breaker import FAILURES, PAUSE, REPEAT, Breaker, Guard
from starlette_sessions_ext.testing import FakeClock

KEYS = [letter * 32 for letter in "abcdefgh"]
KEY, OTHER, *_ = KEYS


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for key in KEYS[:FAILURES]:
        breaker.failed(key, now, PAUSE)
    assert breaker.is_open
    return breaker


def test_a_few_failures_are_no_reason_to_stop_asking() -> None:
    breaker = Breaker()
    for _ in range(10):
        for key in KEYS[: FAILURES - 1]:
            breaker.failed(key, 0, PAUSE)
            assert breaker.admits(key, 0, PAUSE)
        breaker.succeeded()
    assert not breaker.is_open


def test_sessions_that_fail_again_and_again_open_it_only_if_there_are_several() -> None:
    breaker = Breaker()
    for _ in range(100):
        for key in KEYS[: FAILURES - 1]:
            breaker.failed(key, 0, PAUSE)
    assert not breaker.is_open
    breaker.failed(KEYS[FAILURES], 0, PAUSE)
    assert breaker.is_open


def test_one_trial_per_pause_is_admitted() -> None:
    breaker = opened()
    assert not breaker.admits(KEY, PAUSE - 0.01, PAUSE)
    assert [breaker.admits(key, PAUSE, PAUSE) for key in KEYS[:3]] == [True, False, False]
    breaker.failed(KEY, PAUSE, PAUSE)
    assert not breaker.admits(OTHER, 2 * PAUSE - 0.01, PAUSE)
    assert breaker.admits(OTHER, 2 * PAUSE, PAUSE)


def test_a_trial_is_never_made_twice_running_for_a_session_while_others_ask() -> None:
    breaker = opened()
    tried = []
    for pause in range(1, 9):
        for key in (KEY, OTHER):  # the first always asks first
            if breaker.admits(key, pause * PAUSE, PAUSE):
                tried.append(key)
                breaker.failed(key, pause * PAUSE, PAUSE)
    assert tried == [KEY, OTHER] * 4


def test_a_session_that_asks_alone_makes_a_trial_after_some_pauses() -> None:
    breaker = opened()
    times = [time for time in range(1, 9) if breaker.admits(KEY, time * PAUSE, PAUSE)]
    assert times == [1, 1 + REPEAT, 1 + 2 * REPEAT]


def test_after_a_success_any_session_makes_the_first_trial_of_the_next_outage() -> None:
    breaker = opened()
    assert breaker.admits(KEY, PAUSE, PAUSE)
    breaker.succeeded()
    for key in KEYS[:FAILURES]:
        breaker.failed(key, PAUSE, PAUSE)
    assert breaker.admits(KEY, 2 * PAUSE, PAUSE)


def test_a_trial_that_hangs_isnt_waited_for() -> None:
    breaker = opened()
    assert breaker.admits(KEY, PAUSE, PAUSE)
    assert breaker.admits(OTHER, 2 * PAUSE, PAUSE)
    breaker.succeeded()
    breaker.failed(KEY, 2.5 * PAUSE, PAUSE)
    assert not breaker.is_open, "the first trial's end is one failure after a success"


def test_a_trial_without_result_lets_another_session_make_the_next() -> None:
    breaker = opened()
    assert breaker.admits(KEY, PAUSE, PAUSE)
    breaker.trial_ended_without_result()
    assert [breaker.admits(key, PAUSE, PAUSE) for key in (KEY, OTHER)] == [False, True]


def test_a_success_closes_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert [breaker.admits(KEY, 0, PAUSE) for _ in range(3)] == [True, True, True]


def test_calls_that_were_under_way_dont_make_the_pause_longer() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.failed(KEY, PAUSE - 0.01, PAUSE)
    assert breaker.admits(KEY, PAUSE, PAUSE)


def test_no_more_keys_are_remembered_than_it_takes() -> None:
    breaker = opened()
    for number in range(1000):
        breaker.failed(f"{number:032}", 0, PAUSE)
    assert len(breaker._failed) == FAILURES


# The guard


class Calls:
    """Calls through a guard; `refused` says whether one wasn't made."""

    def __init__(self, store: MemoryStore) -> None:
        self.clock = FakeClock()
        self.guard = Guard(store, self.clock)

    def fail(self, error: BaseException, operation: str = "load", keys: Sequence[str] = KEYS[:FAILURES]) -> None:
        for key in keys:
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
        return key < "e"


@pytest.fixture
def calls() -> Calls:
    return Calls(MemoryStore())


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreTimeout("slow")])
def test_a_store_that_keeps_failing_isnt_asked(calls: Calls, error: Exception) -> None:
    calls.fail(error, keys=KEYS[: FAILURES - 1])
    assert not calls.refused()
    calls.fail(error)
    assert calls.refused()
    calls.clock.advance(1.25 * PAUSE)
    calls.fail(error, keys=[KEY])
    assert calls.refused(), "the trial failed"
    calls.clock.advance(1.25 * PAUSE)
    assert [calls.refused(key=key) for key in (KEY, OTHER, KEY)] == [True, False, False]


@pytest.mark.parametrize(
    "error",
    [
        SessionTooLarge("2 MB"),
        ConfigurationError("no table"),
        KeyboardInterrupt(),
        SessionUnavailable("locked"),
        StoreFull("full"),
    ],
)
def test_what_is_no_outage_doesnt_count(calls: Calls, error: BaseException) -> None:
    calls.fail(error, keys=KEYS)
    assert not calls.refused()
    assert not calls.guard.failing


def test_one_session_that_fails_isnt_taken_for_the_store(calls: Calls) -> None:
    calls.fail(StoreTimeout("a locked row"), "replace", [KEY] * 100)
    assert not calls.refused("replace", OTHER)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SessionUnavailable("locked"), StoreFull("full")])
def test_a_trial_without_result_is_no_answer(calls: Calls, error: BaseException) -> None:
    calls.fail(StoreUnavailable("away"))
    calls.clock.advance(1.25 * PAUSE)
    calls.fail(error, keys=[KEY])
    assert calls.refused(key=KEY), "while others ask"
    calls.fail(StoreUnavailable("away"), keys=[OTHER])
    assert calls.refused(key=KEYS[2])


def test_a_server_that_refuses_writes_is_still_read(calls: Calls) -> None:
    calls.fail(StoreUnavailable("read-only"), "create")
    assert calls.refused("create")
    assert not any(calls.refused(operation) for operation in ("load", "replace", "touch", "delete"))


def test_one_dead_server_isnt_taken_for_all() -> None:
    calls = Calls(TwoServers())
    calls.fail(StoreUnavailable("away"))
    assert calls.refused(key=KEY)
    assert not calls.refused(key=KEYS[-1])


def test_while_nothing_fails_a_success_needs_no_breaker(calls: Calls) -> None:
    assert not calls.refused()
    assert not calls.guard._breakers
    calls.fail(StoreUnavailable("away"), keys=[KEY])
    assert len(calls.guard.failing) == 1
    assert not calls.refused(key=OTHER)
    assert not calls.guard.failing
