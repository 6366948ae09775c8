"""Which calls may have changed what ids open, at or after a moment. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from .calls import Call, by_begin


class Effects(NamedTuple):
    """Calls in the order of their ends, and for each place the three that began first of those from there on."""

    ends: list[float]
    firsts: list[tuple[Call, ...]]

    @classmethod
    def of(cls, calls: Iterable[Call]) -> Effects:
        ordered = sorted(calls, key=lambda call: call.until)
        firsts: list[tuple[Call, ...]] = []
        earliest: tuple[Call, ...] = ()
        for call in reversed(ordered):
            earliest = tuple(by_begin((*earliest, call))[:3])
            firsts.append(earliest)
        return cls([call.until for call in ordered], [*reversed(firsts), ()])

    def after(self, moment: float) -> tuple[Call, ...]:
        """The first three to begin of those that hadn't ended at a moment."""
        return self.firsts[bisect_right(self.ends, moment)]

    def first(self, moment: float, other_than: Call) -> float:
        """Return the start of the first of those that hadn't ended at a moment."""
        return min((call.began for call in self.after(moment) if call is not other_than), default=math.inf)
