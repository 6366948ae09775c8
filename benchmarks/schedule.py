"""Rounds in which everything that is compared takes turns, so that whatever else the machine does hits all of it."""

from __future__ import annotations

import random
import sys
from collections.abc import Hashable, Iterator, Sequence
from statistics import median
from typing import Generic, NamedTuple, TypeVar

Row = TypeVar("Row", bound=Hashable)


class Figure(NamedTuple):
    """The results of several rounds: the median, the smallest and the largest."""

    median: float
    low: float
    high: float


class Turn(NamedTuple, Generic[Row]):
    row: Row
    counts: bool
    """False in the round that warms up."""


def turns(rows: Sequence[Row], rounds: int, title: str, *, warm_up: bool = True) -> Iterator[Turn[Row]]:
    """Each row once in each round, in another order every time, with a line on stderr that says how far it is."""
    for number in range(0 if warm_up else 1, rounds + 1):
        order = random.Random(number).sample(rows, len(rows))
        for place, row in enumerate(order, 1):
            show(f"{title}: {f'round {number} of {rounds}' if number else 'warming up'}, {place} of {len(rows)}")
            yield Turn(row, number > 0)
    show("")


class Figures(Generic[Row]):
    """The results, by row and by name."""

    def __init__(self) -> None:
        self._values: dict[tuple[Row, str], list[float]] = {}

    def add(self, turn: Turn[Row], **values: float) -> None:
        if turn.counts:
            for name, value in values.items():
                self._values.setdefault((turn.row, name), []).append(value)

    def of(self, row: Row, name: str) -> Figure:
        values = self._values[row, name]
        return Figure(median(values), min(values), max(values))

    def ratio(self, name: str, row: Row, other: Row) -> float:
        """Of the medians."""
        return self.of(row, name).median / self.of(other, name).median


def show(progress: str) -> None:
    """In place of what was shown before."""
    print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)
