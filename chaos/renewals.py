"""Check that a renewed id leads to the new one for a grace, one step and no more, and then to nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .calls import Call, Kind, Outcome, by_end
from .effects import Effects

_SECOND = 1.0
"""By so much a grace may be shorter than was asked for: its end is counted in whole seconds."""


class Renewals:
    """Of one session, `calls` being all of its calls."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._grace = max((call.grace for call in calls), default=0.0)
        self._effects = Effects.of(_renewals(calls))
        self.left = self._left(calls)
        """From when on each id must open nothing."""

    def __bool__(self) -> bool:
        return bool(self._effects.ends)

    def may_hide(self, call: Call, giver: Call) -> bool:
        """Return whether the id that was sent may open nothing: out of grace, or two renewals behind.

        `giver` is the call that first handed it out. What made the id doesn't count.
        """
        others = [one for one in self._effects.after(giver.began) if one.given != call.sent]
        begun = [one.began for one in others if one.began < call.ended]
        return len(begun) > 1 or any(call.ended > began + self._grace - _SECOND for began in begun)

    def _left(self, calls: Sequence[Call]) -> dict[str, float]:
        """Find when each id was replaced: an answer with another id than the request's shows that it was."""
        moves = [call for call in calls if call.kind is not Kind.START and call.given not in ("", call.sent)]
        left: dict[str, float] = {}
        known: dict[str, float] = {}  # the first time that an id was seen to lead to another
        for move in by_end(moves):
            known.setdefault(move.sent, move.ended)
            left.setdefault(move.sent, move.ended + self._grace)
        for move in moves:
            if move.given in known:  # no chains: what leads to it leads nowhere
                left[move.sent] = min(left[move.sent], max(move.ended, known[move.given]))
        return left


def _renewals(calls: Sequence[Call]) -> Iterator[Call]:
    """One for each new id that there is or may be: of parallel renewals one wins, and all hand out the same."""
    done: dict[str, Call] = {}
    for call in by_end(call for call in calls if call.kind is Kind.RENEW):
        if call.outcome is Outcome.UNKNOWN:
            yield call
        elif call.given not in ("", call.sent):
            first = done.setdefault(call.given, call)
            done[call.given] = first._replace(began=min(first.began, call.began))
    yield from done.values()
