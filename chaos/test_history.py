"""Check that the checks find faults: in histories of a few calls, one for each rule, and in random long ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .calls import Call, Harm, Kind, Outcome, Seen, filler
from .history import check
from .simulation import DEFECTS, Simulation

FIRST = "1st id"


def seen(version: int = 0, nonce: str = "", previous: str = "", **values: str) -> Seen:
    return Seen(version, nonce, previous, {f"key {key}": value for key, value in values.items()}, True)


def call(began: float, ended: float, kind: Kind, outcome: Outcome = Outcome.DONE, **more: Any) -> Call:
    owner = "ann" if outcome is Outcome.DONE and kind is not Kind.START else ""
    key = f"key {more.pop('key')}" if "key" in more else ""
    return Call(
        **{"session": "ann", "sent": FIRST, "owner": owner, "key": key, **more}, **_named(began, ended, kind, outcome)
    )


def _named(began: float, ended: float, kind: Kind, outcome: Outcome) -> dict[str, Any]:
    return {"began": began, "ended": ended, "kind": kind, "outcome": outcome}


def start(**more: Any) -> Call:
    return call(0, 1, Kind.START, sent="", given=FIRST, **more)


def read(began: float, ended: float, shown: Seen, **more: Any) -> Call:
    return call(began, ended, Kind.READ, seen=shown, **more)


def link(began: float, ended: float, shown: Seen, **more: Any) -> Call:
    return call(began, ended, Kind.LINK, seen=shown, nonce=shown.nonce, **more)


def put(began: float, ended: float, nonce: str, outcome: Outcome = Outcome.DONE, **more: Any) -> Call:
    return call(began, ended, Kind.PUT, outcome, key="a", nonce=nonce, **more)


def harm(*calls: Call) -> set[Harm]:
    return {finding.harm for finding in check([start(), *calls])}


def renew(began: float, ended: float, outcome: Outcome = Outcome.DONE, **more: Any) -> Call:
    return call(began, ended, Kind.RENEW, outcome, grace=5, **more)


UNKNOWN, ABSENT, REFUSED = Outcome.UNKNOWN, Outcome.ABSENT, Outcome.REFUSED
ONE, TWO = seen(1, "n1"), seen(2, "n2", "n1")

RIGHT: dict[str, list[Call]] = {
    "links in a row": [link(2, 3, ONE), link(4, 5, TWO), read(6, 7, TWO)],
    "links in parallel, answered in the other order": [link(2, 6, ONE), link(3, 5, TWO)],
    "an unknown link in between": [call(2, 3, Kind.LINK, UNKNOWN, nonce="n1"), link(4, 5, TWO)],
    "an unknown link that nobody sees": [call(2, 3, Kind.LINK, UNKNOWN, nonce="n0"), link(4, 5, ONE)],
    "an unknown put that comes late": [
        *(put(2, 3, "p1", UNKNOWN), put(4, 5, "p2"), read(6, 7, seen(a="p2")), read(8, 9, seen(a="p1"))),
    ],
    "parallel puts, either of which may be the later": [put(2, 5, "p1"), put(3, 4, "p2"), read(6, 7, seen(a="p1"))],
    "a put that a logout overtakes": [put(2, 5, "p1"), call(3, 4, Kind.END, cleared=True)],
    "a put that a rotation overtakes": [
        *(put(2, 5, "p1"), call(3, 4, Kind.ROTATE, given="2nd"), read(6, 7, seen(), sent="2nd")),
    ],
    "a rotation that came too late, and sent the cookie once more": [
        *(call(2, 3, Kind.ROTATE, given=FIRST), read(4, 5, seen())),
    ],
    "a put that was refused, as the session had moved": [
        *(call(2, 3, Kind.ROTATE, given="2nd"), put(2, 4, "p1", REFUSED), read(5, 6, seen(), sent="2nd")),
    ],
    "gone after it was revoked": [
        call(2, 3, Kind.REVOKE, sent="", owner="", cleared=True),
        call(4, 5, Kind.READ, ABSENT),
    ],
    "gone after the end": [call(2, 3, Kind.END, cleared=True), call(4, 5, Kind.READ, ABSENT)],
    "gone, by an end of unknown outcome": [
        call(2, 3, Kind.END, UNKNOWN),
        read(4, 5, seen()),
        call(6, 7, Kind.READ, ABSENT),
    ],
    "a read while it ends": [call(2, 5, Kind.END, cleared=True), read(3, 4, seen())],
    "moved to another id": [
        *(call(2, 3, Kind.ROTATE, given="2nd"), call(4, 5, Kind.READ, ABSENT), read(4, 5, seen(), sent="2nd")),
    ],
    "renewed, and used under both ids": [
        *(renew(2, 3, given="2nd"), put(4, 5, "p1", given="2nd"), read(5.5, 6, seen(a="p1"), sent="2nd")),
        *(call(8, 9, Kind.READ, ABSENT), read(8, 9, seen(a="p1"), sent="2nd")),
    ],
    "in the last second of a grace, of which nobody knows whether it is over": [
        *(renew(2, 3, given="2nd"), call(6, 6.1, Kind.READ, ABSENT), renew(12, 13, sent="2nd", given="3rd")),
        read(17.9, 18.1, seen(), sent="2nd"),
    ],
    "renewed twice at once, by one of the two": [
        *(renew(2, 4, given="2nd"), renew(2, 5, given="2nd"), read(6, 7, seen())),
    ],
    "renewed again before the grace was over": [
        *(renew(2, 3, given="2nd"), renew(4, 5, sent="2nd", given="3rd")),
        *(call(6, 7, Kind.READ, ABSENT), read(6, 7, seen(), sent="2nd")),
    ],
    "renewed by nobody knows whom, as an answer shows": [
        *(renew(2, 3, UNKNOWN), read(4, 5, seen(), given="2nd"), read(6, 7, seen())),
        *(call(11, 12, Kind.READ, ABSENT), read(11, 12, seen(), sent="2nd")),
    ],
    "renewed, and ended under the old id": [
        *(renew(2, 3, given="2nd"), call(4, 5, Kind.END, cleared=True), call(6, 7, Kind.READ, ABSENT, sent="2nd")),
    ],
    "a socket that goes on after a renewal": [
        *(renew(2, 3, given="2nd"), call(8, 9, Kind.READ, ABSENT), read(10, 11, seen(), socket=True)),
    ],
}

WRONG: dict[str, tuple[Harm, list[Call]]] = {
    "two links are the same version": (Harm.LOST, [link(2, 5, ONE), link(3, 4, seen(1, "other"))]),
    "a link that isn't there later": (Harm.LOST, [link(2, 3, ONE), read(4, 5, seen())]),
    "a link on an older version": (Harm.LOST, [link(2, 3, ONE), link(4, 5, TWO), link(6, 7, seen(2, "n3", "n1"))]),
    "a link that names another before it": (Harm.LOST, [link(2, 3, ONE), link(4, 5, seen(2, "n2", "other"))]),
    "a version that nobody made": (Harm.LOST, [link(2, 3, seen(2, "n2", "n1"))]),
    "a version that was refused": (Harm.HALF_WRITTEN, [call(2, 3, Kind.LINK, REFUSED, nonce="n1"), read(4, 5, ONE)]),
    "a link that is seen before it": (Harm.HALF_WRITTEN, [read(2, 3, ONE), link(4, 5, ONE)]),
    "more versions than links": (
        Harm.LOST,
        [call(2, 3, Kind.LINK, UNKNOWN, nonce="n4"), link(4, 5, seen(5, "n5", "n4")), link(6, 7, seen(6, "n6", "n5"))],
    ),
    "an answer that shows another client's link": (
        Harm.LOST,
        [link(2, 3, ONE), call(4, 5, Kind.LINK, nonce="n2", seen=ONE)],
    ),
    "a read that goes back": (Harm.LOST, [link(2, 9, ONE), read(3, 4, ONE), read(5, 6, seen())]),
    "a put that isn't there": (Harm.LOST, [put(2, 3, "p1"), read(4, 5, seen())]),
    "a put that is gone again": (Harm.LOST, [put(2, 9, "p1"), read(3, 4, seen(a="p1")), read(5, 6, seen())]),
    "the value before the latest": (Harm.LOST, [put(2, 3, "p1"), put(4, 5, "p2"), read(6, 7, seen(a="p1"))]),
    "two that see parallel puts in two orders": (
        Harm.LOST,
        [
            *(put(2, 9, "p1"), put(2, 9, "p2"), read(3, 4, seen(a="p1")), read(5, 6, seen(a="p2"))),
            read(7, 8, seen(a="p1")),
        ],
    ),
    "a put that a later rotation can't have overtaken": (
        Harm.LOST,
        [put(2, 3, "p1"), call(4, 5, Kind.ROTATE, given="2nd"), read(6, 7, seen(), sent="2nd")],
    ),
    "a value that nobody wrote": (Harm.HALF_WRITTEN, [read(2, 3, seen(a="p1"))]),
    "a put that was refused, and is there": (Harm.HALF_WRITTEN, [put(2, 3, "p1", REFUSED), read(4, 5, seen(a="p1"))]),
    "half of what was written": (Harm.HALF_WRITTEN, [read(2, 3, seen()._replace(whole=False))]),
    "alive after it was revoked": (
        Harm.RESURRECTED,
        [call(2, 3, Kind.REVOKE, sent="", owner="", cleared=True), read(4, 5, seen())],
    ),
    "alive after the end": (Harm.RESURRECTED, [call(2, 3, Kind.END, cleared=True), read(4, 5, seen())]),
    "alive under the id before the last, after the end": (
        Harm.RESURRECTED,
        [
            *(call(2, 3, Kind.ROTATE, given="2nd"), call(4, 5, Kind.END, sent="2nd", cleared=True)),
            read(6, 7, seen(), sent=FIRST),
        ],
    ),
    "alive under an id that was rotated": (
        Harm.RESURRECTED,
        [call(2, 3, Kind.ROTATE, given="2nd"), read(4, 5, seen(), sent=FIRST)],
    ),
    "there again": (
        Harm.RESURRECTED,
        [call(2, 3, Kind.END, UNKNOWN), call(4, 5, Kind.READ, ABSENT), read(6, 7, seen())],
    ),
    "renewed, and gone under the old id before the grace is over": (
        Harm.LOST,
        [renew(2, 3, given="2nd"), call(4, 5, Kind.READ, ABSENT)],
    ),
    "gone after two at once that were one renewal": (
        Harm.LOST,
        [renew(2, 4, given="2nd"), renew(2, 4, given="2nd"), call(4, 5, Kind.READ, ABSENT)],
    ),
    "gone under the new id": (Harm.LOST, [renew(2, 3, given="2nd"), call(10, 11, Kind.READ, ABSENT, sent="2nd")]),
    "refused by a renewal": (Harm.LOST, [renew(2, 3, given="2nd"), put(2, 8, "p1", REFUSED)]),
    "alive under the old id when the grace is over": (
        Harm.RESURRECTED,
        [renew(2, 3, given="2nd"), read(8.1, 9, seen())],
    ),
    "alive under the old id when the grace must be over, as an answer showed": (
        Harm.RESURRECTED,
        [renew(2, 3, UNKNOWN), read(4, 5, seen(), given="2nd"), read(10.1, 11, seen())],
    ),
    "alive under the id before the last, by a chain": (
        Harm.RESURRECTED,
        [renew(2, 3, given="2nd"), renew(4, 5, sent="2nd", given="3rd"), read(5.5, 6, seen())],
    ),
    "alive under the old id after the end": (
        Harm.RESURRECTED,
        [renew(2, 3, given="2nd"), call(4, 5, Kind.END, sent="2nd", cleared=True), read(6, 7, seen())],
    ),
    "a put under the old id that isn't there": (
        Harm.LOST,
        [renew(2, 3, given="2nd"), put(4, 5, "p1"), read(6, 7, seen(), sent="2nd")],
    ),
    "refused without an end": (Harm.LOST, [call(2, 3, Kind.LINK, REFUSED, nonce="n1")]),
    "gone without an end": (Harm.LOST, [call(2, 3, Kind.READ, ABSENT)]),
    "gone before the end": (Harm.LOST, [call(2, 3, Kind.READ, ABSENT), call(4, 5, Kind.END, cleared=True)]),
    "gone by its own rotation": (
        Harm.LOST,
        [call(2, 3, Kind.ROTATE, given="2nd"), call(4, 5, Kind.READ, ABSENT, sent="2nd")],
    ),
    "gone by an end that had no effect": (Harm.LOST, [call(2, 3, Kind.END), call(4, 5, Kind.READ, ABSENT)]),
    "another client's": (Harm.FOREIGN, [read(2, 3, seen(), owner="bob")]),
    "an id that was another client's": (
        Harm.RESURRECTED,
        [call(2, 3, Kind.START, session="bob", sent="", given=FIRST, owner="")],
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_wrong_with(name: str) -> None:
    assert harm(*RIGHT[name]) == set()


@pytest.mark.parametrize("name", WRONG)
def test_it_finds(name: str) -> None:
    expected, calls = WRONG[name]
    assert expected in harm(*calls)


def test_a_session_with_a_lifetime_is_gone_after_it_and_no_earlier() -> None:
    def found(*calls: Call) -> set[Harm]:
        return {finding.harm for finding in check([start(lifetime=5), *calls])}

    assert found(read(5.5, 5.6, seen()), call(10.7, 10.8, Kind.READ, ABSENT)) == set()
    assert found(call(2, 3, Kind.READ, ABSENT)) == {Harm.LOST}
    assert found(read(2, 3, seen()), call(4.5, 4.9, Kind.READ, ABSENT)) == {Harm.LOST}
    late = read(5.5, 6.2, seen())  # it may have loaded the session before its end, and moved the expiry after it
    assert found(late, call(6.3, 6.4, Kind.READ, ABSENT)) == set()
    assert found(read(5, 6, seen()), read(12, 13, seen())) == {Harm.RESURRECTED}
    assert found(call(4, 5, Kind.READ, UNKNOWN), read(12, 13, seen())) == set(), "it may have been a use just now"
    gone = call(8, 8.5, Kind.READ, ABSENT)
    assert found(read(4, 5, seen()), gone, read(9, 9.5, seen())) == {Harm.RESURRECTED}
    assert found(read(4, 8.2, seen()), gone, read(9, 9.5, seen())) == set(), "what was under way makes it live longer"


def test_what_is_written_together_is_looked_for_together() -> None:
    state: Mapping[str, Any] = {
        **{"owner": "ann", "version": 1, "nonce": "a1", "previous": "", "filler": filler("a1")},
        **{"key a": "p1", "twin of key a": "p1"},
    }
    assert Seen.of(state) == Seen(1, "a1", "", {"key a": "p1"}, True)
    assert not Seen.of({**state, "twin of key a": "p2"}).whole
    assert not Seen.of({**state, "nonce": "a2"}).whole


def test_a_call_is_the_same_after_it_was_written_and_read() -> None:
    for one in (start(lifetime=3), read(2, 3, seen(1, "n1", a="p1"))):
        assert Call.from_json(one.to_json()) == one


@given(st.integers(0, 2**32))
def test_what_a_right_store_does_is_right(seed: int) -> None:
    simulation = Simulation(random.Random(seed))
    simulation.run()
    assert check(simulation.calls) == []


@pytest.mark.parametrize("defect", DEFECTS)
@given(st.integers(0, 2**32))
def test_each_defect_is_found(defect: str, seed: int) -> None:
    simulation = Simulation(random.Random(seed))
    simulation.run()
    expected = simulation.suffer(defect)
    assert expected in {finding.harm for finding in check(simulation.calls)}
