"""Check that an id opens its session from its first answer until the session ends, and never after. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .calls import Call, Finding, Harm, Kind, Outcome, by_begin, by_end
from .effects import Effects
from .renewals import Renewals

_CLOCK_STEP = 2.0
"""Seconds by which a session may end earlier than its lifetime after a use: it is counted in whole
seconds, and not every use is written."""


def endings(calls: Sequence[Call]) -> list[Call]:
    """The calls of a session that ended it or an id of it, or may have."""
    asked = [call for call in calls if call.kind in (Kind.ROTATE, Kind.END, Kind.REVOKE)]
    return [call for call in asked if call.outcome is Outcome.UNKNOWN or call.cleared or _has_moved(call)]


def _has_moved(call: Call) -> bool:
    return call.kind is Kind.ROTATE and call.given not in ("", call.sent)  # the same may be sent again


def dropped(calls: Sequence[Call]) -> set[str]:
    """The nonces of the puts that an ending may have overtaken."""
    effects = Effects.of(endings(calls))
    return {call.nonce for call in calls if call.kind is Kind.PUT and effects.first(call.began, call) < call.ended}


def check_liveness(calls: Sequence[Call], start: Call) -> Iterator[Finding]:
    """`calls` are those of one session that `start` made."""
    givers = {call.given: call for call in reversed(by_end(calls)) if call.given}  # the first that gave it
    deaths = _deaths(calls, givers)
    effects, renewals = Effects.of(endings(calls)), Renewals(calls)
    missed: dict[str, float] = {}  # when each id was first seen to open nothing
    for call in by_end(calls):
        if call.outcome is Outcome.ABSENT and not (start.lifetime and _is_beside_a_use(call, calls)):
            missed.setdefault(call.sent, call.ended)
    used_before = used_until = start.ended  # at the earliest, and at the latest
    done, answers = 0, by_end(calls)
    for call in by_begin(calls):
        while answers[done].ended < call.began:
            if _prolongs(answers[done], used_before, start.lifetime):
                used_before = max(used_before, answers[done].began)
            done += 1
        if call.owner:
            if call.began > deaths.get(call.sent, math.inf):
                yield Finding(Harm.RESURRECTED, call, "an id opens a session that had been ended, or moved away from")
            elif call.began > renewals.left.get(call.sent, math.inf) and not call.socket:
                yield Finding(Harm.RESURRECTED, call, "an id that was renewed opens the session beyond its grace")
            elif call.began > missed.get(call.sent, math.inf) and not (call.socket and renewals):
                del missed[call.sent]  # once is enough: all that follow would show it too
                yield Finding(Harm.RESURRECTED, call, "a session is there again that was gone")
            elif start.lifetime is not None and call.began > used_until + start.lifetime:
                yield Finding(Harm.RESURRECTED, call, "a session outlived its lifetime")
        elif call.outcome in (Outcome.ABSENT, Outcome.REFUSED):
            expired = start.lifetime is not None and call.ended > used_before + start.lifetime - _CLOCK_STEP
            giver = givers.get(call.sent, start)
            hidden = call.outcome is Outcome.ABSENT and renewals.may_hide(call, giver)  # what is under way goes on
            if not expired and not hidden and effects.first(giver.began, giver) > call.ended:
                yield Finding(Harm.LOST, call, "a session is gone that nobody had ended")
        if call.outcome is not Outcome.ABSENT:
            used_until = max(used_until, call.until)


def _prolongs(use: Call, used_before: float, lifetime: float | None) -> bool:
    """Return whether a use is sure to prolong its session.

    It may find the session alive, and move the expiry only after that has come: a worker frozen in between.
    """
    in_time = lifetime is None or use.ended < used_before + lifetime - _CLOCK_STEP
    return use.outcome is Outcome.DONE and use.kind is not Kind.REVOKE and in_time


def _is_beside_a_use(absent: Call, calls: Sequence[Call]) -> bool:
    """Whether something was under way, which had found the session alive and makes it live longer.

    It judges by the time at which it looked, and may then be frozen, or wait for a lock.
    """
    return any(
        one.began < absent.ended and one.until > absent.began for one in calls if one.outcome is not absent.outcome
    )


def _deaths(calls: Sequence[Call], givers: dict[str, Call]) -> dict[str, float]:
    """From when on each id must open nothing: an answered end ends all, a rotation those that were known before it."""
    deaths: dict[str, float] = {}
    known = by_end(givers.values())
    place = 0
    for ending in by_begin(endings(calls)):
        if _has_moved(ending):
            while place < len(known) and known[place].ended < ending.began:
                deaths[known[place].given] = ending.ended
                place += 1
    last = min((call.ended for call in calls if call.cleared), default=math.inf)
    return {given: min(deaths.get(given, math.inf), last) for given in givers}
