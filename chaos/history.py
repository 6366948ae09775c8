"""The proof that a history broke none of the promises, or what shows that it did. Pure.

A history holds the requests of clients in several processes and their answers, in any order. What each session
went through is found without trying orders, because every write carries a unique nonce: the time
is that of sorting the calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .calls import Call, Finding, Harm, Kind, Outcome
from .check_chain import check_chain
from .check_liveness import check_liveness, dropped
from .check_registers import check_registers


def check(calls: Iterable[Call]) -> list[Finding]:
    """All that is wrong with a history."""
    sessions: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        sessions[call.session].append(call)
    findings = list(_check_owners(sessions))
    for own in sessions.values():
        start = next((call for call in own if call.kind is Kind.START), None)
        if start is None or start.outcome is not Outcome.DONE:
            continue  # no client was given an id of it
        findings += check_chain(own)
        findings += check_registers(own, start, dropped(own))
        findings += check_liveness(own, start)
    return findings


def _check_owners(sessions: dict[str, list[Call]]) -> Iterator[Finding]:
    """Check that every client sees its own session, in one piece, and that no id is given to two."""
    owners: dict[str, str] = {}  # of ids
    for name, calls in sessions.items():
        for call in calls:
            if call.given and owners.setdefault(call.given, name) != name:
                yield Finding(Harm.RESURRECTED, call, "an id was handed out that another session had had")
    for name, calls in sessions.items():
        for call in calls:
            if call.owner and call.owner != name:
                yield Finding(Harm.FOREIGN, call, "an answer was about another client's session")
            elif call.seen is not None and not call.seen.whole:
                yield Finding(Harm.HALF_WRITTEN, call, "what was written together isn't there together")
