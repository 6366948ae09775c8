"""When a use moves the expiry of a session, or renews its id."""

from __future__ import annotations

from itertools import product

import pytest

from starlette_sessions_ext import ConfigurationError
from starlette_sessions_ext._core.lifetimes import Lifetimes
from starlette_sessions_ext._core.record import Header

NOW = 1000.9
HEADER = Header("k" * 32, 900, 900, None, "0" * 16)
AGED = HEADER._replace(issued_at=400)
REMEMBERED = HEADER._replace(lifetime=300)


@pytest.mark.parametrize(
    ("left", "due"), [(100, False), (91, False), (90, True), (0, True), (109, False), (110, True), (500, True)]
)
def test_upkeep_is_due_when_the_expiry_moves_by_the_interval(left: int, due: bool) -> None:
    assert Lifetimes(max_age=100).upkeep_due(HEADER, int(NOW) + left, NOW) is due


@pytest.mark.parametrize(
    "lifetimes",
    [
        Lifetimes(max_age=100),
        Lifetimes(max_age=None, idle=100, touch_interval=30),
        Lifetimes(max_age=100, absolute=150),
        Lifetimes(max_age=100, renew_after=500),
    ],
    ids=str,
)
def test_upkeep_is_a_touch_or_a_renewal(lifetimes: Lifetimes) -> None:
    for header, left in product((HEADER, AGED, REMEMBERED), range(0, 400)):
        expires_at = int(NOW) + left
        due = lifetimes.touch_due(header, expires_at, NOW) or lifetimes.renew_due(header, NOW)
        assert lifetimes.upkeep_due(header, expires_at, NOW) == due, (header, left)


def test_an_old_id_is_renewed_though_no_touch_is_due() -> None:
    lifetimes = Lifetimes(max_age=100, renew_after=500)
    assert lifetimes.upkeep_due(AGED, int(NOW) + 100, NOW)
    assert not lifetimes.upkeep_due(HEADER, int(NOW) + 100, NOW)


@pytest.mark.parametrize(
    ("expires_at", "used_at"),
    [(1050, 950), (1100, 1000), (1300, 1000), (950, 900)],
    ids=["earlier", "now", "a clock ahead", "not before its id"],
)
def test_the_last_use_follows_from_the_expiry(expires_at: int, used_at: int) -> None:
    assert Lifetimes(max_age=100).last_used_at(HEADER, expires_at, NOW) == used_at


def test_an_idle_timeout_within_the_absolute_one() -> None:
    with pytest.raises(ConfigurationError, match=r"^idle_timeout is longer than absolute_timeout"):
        Lifetimes.configured(None, 200, 100, None)
    assert Lifetimes.configured(None, 100, 100, None).idle == 100
