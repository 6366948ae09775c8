"""The soak for some rounds; and an application that leaks, which it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from .soak import Verdict, report, soak, verdict

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
def test_L4_nothing_grows(tmp_path: Path) -> None:
    result = soak("redis", 0, tmp_path, rounds=25)
    assert report("redis", result)
    assert result.kills
    assert result.hung_up
    assert result.answered > result.asked / 2


@pytest.mark.timeout(300)
def test_what_leaks_is_found(tmp_path: Path) -> None:
    result = soak("sqlite", 0, tmp_path, paths=["/leak"])
    assert [measure for _, measure, found in result.verdicts() if found.is_flat] == []


@pytest.mark.parametrize(
    ("values", "is_flat"),
    [
        ([1, 5, 9] + [20] * 6, True),  # warming up
        ([20] * 6 + [21] * 3, True),
        ([20] * 6 + [22] * 3, False),
        ([20, 20, 20, 20, 25, 20, 25, 25, 24], True),  # as it was before
        ([20, 20, 20, 20, 25, 20, 25, 26, 26], False),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], False),  # one more at every step
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], True),
    ],
)
def test_what_is_flat(values: list[float], is_flat: bool) -> None:
    assert verdict(values).is_flat is is_flat


def test_what_comes_at_once_is_no_growth() -> None:
    assert verdict([20] * 6 + [25] * 3, 5).is_flat
    assert not verdict([20] * 6 + [26] * 3, 5).is_flat


def test_the_noise_is_that_of_the_second_third() -> None:
    assert verdict([0, 50, 0, 7, 8, 6, 0, 90, 0]) == Verdict(before=7, after=0, noise=2)
