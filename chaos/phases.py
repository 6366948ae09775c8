"""A run cut into phases, one from each fault to the next: what was asked in each, and how it went. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .calls import Call, Finding, Harm, Kind, Outcome
from .client import HUNG_UP, NO_ANSWER
from .history import check

NORMAL = frozenset({200, 401, 410, HUNG_UP})
"""The answers that are no fault; sessions do end."""

RECOVERY = 2.0
"""Seconds after the end of a fault within which service is normal again."""


class Event(NamedTuple):
    """A call, with the status of its answer."""

    status: int
    call: Call


@dataclass
class Phase:
    """From when a fault strikes until the next one does. The first of a run has none."""

    fault: str
    began: float
    ended: float
    times: int = 1
    operations: int = 0
    acknowledged: int = 0
    """Acknowledged writes, endings included."""
    errors: Counter[int] = field(default_factory=Counter)
    """Answers that aren't normal, by status."""
    normal_after: float = 0.0
    """Seconds from the end of the fault until nothing was asked any more that had no normal answer."""
    harm: Counter[Harm] = field(default_factory=Counter)

    @property
    def strange(self) -> set[int]:
        """Errors that this fault doesn't excuse: all but 503, and no answer where the worker itself was struck."""
        return self.errors.keys() - {503} - ({NO_ANSWER} if self.fault.startswith("worker") else set())

    def add(self, call: Call) -> None:
        self.operations += 1
        self.acknowledged += call.outcome is Outcome.DONE and call.kind is not Kind.READ

    def add_error(self, event: Event) -> None:
        self.errors[event.status] += 1
        self.normal_after = max(self.normal_after, event.call.began - self.ended)


class Result(NamedTuple):
    phases: list[Phase]
    findings: list[Finding]


def judge(phases: list[Phase], events: Sequence[Event]) -> Result:
    """Fill in the phases, and prove the history."""
    begins = [phase.began for phase in phases]

    def at(moment: float) -> Phase:
        return phases[max(bisect_right(begins, moment) - 1, 0)]

    for event in events:
        at(event.call.began).add(event.call)
        if event.status not in NORMAL:
            at(event.call.ended).add_error(event)  # what is under way when a fault strikes is hit by it
    findings = check([event.call for event in events])
    for finding in findings:
        at(finding.call.began).harm[finding.harm] += 1
    return Result(phases, findings)


def sum_up(phases: Iterable[Phase]) -> list[Phase]:
    """One for each fault: sums, and the longest time until all was normal."""
    sums: dict[str, Phase] = {}
    for one in phases:
        total = sums.setdefault(one.fault, Phase(one.fault, one.began, one.ended, times=0))
        total.times += one.times
        total.operations += one.operations
        total.acknowledged += one.acknowledged
        total.errors += one.errors
        total.normal_after = max(total.normal_after, one.normal_after)
        total.harm += one.harm
    return list(sums.values())
