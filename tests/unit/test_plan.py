"""The table of what is written for a session, and whether its cookie goes out."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from starlette_sessions_ext._core.lifetimes import Lifetimes
from starlette_sessions_ext._core.plan import CookieState, Entry, Plan, Write, plan, plan_data_only
from starlette_sessions_ext._core.record import Header
from starlette_sessions_ext.session import NO_INTENT, Intent, SignIn

NOW = 1000
ID, OTHER_ID = "i" * 32, "o" * 32
BODY, CHANGED = b'{"a":1}', b'{"a":2}'
LIFETIMES = Lifetimes(max_age=None, idle=100, touch_interval=10, renew_after=500)
ENTRY = Entry(ID, Header("k" * 32, 900, 900, None, "0" * 16), BODY, expires_at=NOW + 100, version=7)
OLD = ENTRY._replace(expires_at=NOW + 90)  # a touch is due
AGED = ENTRY._replace(header=ENTRY.header._replace(issued_at=400))  # a renewal is due

HAS_IT = CookieState(ID, writable=True)
ALIAS = HAS_IT._replace(client_id=OTHER_ID)
OUTDATED = HAS_IT._replace(client_id=None)
SENT = HAS_IT._replace(writable=False)


def planned(
    entry: Entry = ENTRY,
    body: bytes | None = BODY,
    intent: Intent = NO_INTENT,
    cookie: CookieState = HAS_IT,
    lifetimes: Lifetimes = LIFETIMES,
    renews: bool = True,
) -> Plan:
    return plan(entry, body, intent, cookie, lifetimes, NOW, renews=renews)


@pytest.mark.parametrize(
    ("given", "write", "sends_cookie"),
    [
        ({}, Write.NOTHING, False),
        ({"cookie": SENT}, Write.NOTHING, False),
        ({"cookie": ALIAS}, Write.NOTHING, True),
        ({"cookie": OUTDATED}, Write.NOTHING, True),
        ({"cookie": OUTDATED._replace(writable=False)}, Write.NOTHING, False),
        ({"body": CHANGED}, Write.UPDATE, False),
        ({"body": CHANGED, "cookie": ALIAS}, Write.UPDATE, True),
        ({"body": CHANGED, "cookie": SENT}, Write.UPDATE, False),
        ({"body": None}, Write.DELETE, True),
        ({"body": None, "intent": Intent(rotate=True)}, Write.DELETE, True),
        ({"entry": OLD}, Write.TOUCH, False),
        ({"entry": OLD, "cookie": SENT}, Write.NOTHING, False),
        ({"entry": OLD, "cookie": ALIAS}, Write.UPDATE, True),
        ({"entry": OLD, "lifetimes": Lifetimes(max_age=100, touch_interval=10)}, Write.UPDATE, True),
        ({"entry": ENTRY._replace(expires_at=NOW + 110)}, Write.TOUCH, False),  # the idle timeout was shortened
        ({"intent": Intent(sets_lifetime=True, lifetime=50)}, Write.UPDATE, True),
        ({"intent": Intent(sets_lifetime=True, lifetime=50), "cookie": SENT}, Write.UPDATE, False),
        ({"intent": Intent(rotate=True)}, Write.ROTATE, True),
        ({"intent": Intent(rotate=True, renew_grace=5), "body": CHANGED}, Write.ROTATE, True),
        ({"intent": Intent(renew_grace=5)}, Write.RENEW, True),
        ({"entry": AGED}, Write.RENEW, True),
        ({"entry": AGED, "renews": False}, Write.NOTHING, False),
        ({"entry": AGED, "cookie": SENT}, Write.NOTHING, False),
    ],
    ids=str,
)
def test_the_table(given: dict[str, Any], write: Write, sends_cookie: bool) -> None:
    made = planned(**given)
    assert (made.write, made.sends_cookie) == (write, sends_cookie)


def test_what_the_row_becomes() -> None:
    assert planned().entry is ENTRY
    assert planned(body=None).entry is None
    assert planned(body=CHANGED).entry == Entry(ID, ENTRY.header, CHANGED, NOW + 100)
    assert planned(entry=OLD).entry == ENTRY._replace(version=None)
    lifetime = planned(intent=Intent(sets_lifetime=True, lifetime=50))
    assert lifetime.entry == Entry(ID, ENTRY.header._replace(lifetime=50), BODY, NOW + 50)


def test_a_lifetime_stays_unless_the_handler_sets_another() -> None:
    remembered = ENTRY._replace(header=ENTRY.header._replace(lifetime=300), expires_at=NOW + 300)
    assert planned(entry=remembered) == Plan(Write.NOTHING, remembered, False, False)
    assert planned(entry=remembered, intent=Intent(sets_lifetime=True)).entry == ENTRY._replace(version=None)


def test_a_change_keeps_an_expiry_that_is_near_enough() -> None:
    near = ENTRY._replace(expires_at=NOW + 95)
    assert planned(entry=near, body=CHANGED).entry == Entry(ID, ENTRY.header, CHANGED, NOW + 95)


def test_a_renewed_session_keeps_its_data() -> None:
    assert planned(entry=AGED).entry == AGED
    assert planned(intent=Intent(renew_grace=5), body=CHANGED).entry == Entry(ID, ENTRY.header, CHANGED, NOW + 100)


def test_a_sign_in_is_kept_in_the_header() -> None:
    sign_in = SignIn(5000, "e30")
    made = planned(intent=Intent(rotate=True, sign_in=sign_in))
    assert made.entry == Entry(ID, ENTRY.header._replace(signed_in_ms=5000, details="e30"), BODY, NOW + 100)
    assert made.entry.created_at == ENTRY.created_at
    out = planned(entry=made.entry, intent=Intent(rotate=True, sign_in=SignIn(None, None)))
    assert out.entry == Entry(ID, ENTRY.header, BODY, NOW + 100)


def test_most_writes_are_of_data_alone() -> None:
    assert plan_data_only(ENTRY, BODY) is ENTRY
    assert plan_data_only(ENTRY, CHANGED) == planned(body=CHANGED).entry


def test_an_id_is_renewed_for_its_age_unless_the_caller_says_no() -> None:
    assert plan(AGED, BODY, NO_INTENT, HAS_IT, LIFETIMES, NOW).write is Write.RENEW


def test_only_what_the_handler_did_is_asked() -> None:
    asked: list[dict[str, Any]] = [
        {"body": CHANGED},
        {"body": None},
        {"intent": Intent(rotate=True)},
        {"intent": Intent(renew_grace=5)},
    ]
    assert [planned(**given).is_asked for given in asked] == [True] * len(asked)
    upkeep: list[dict[str, Any]] = [{}, {"entry": OLD}, {"entry": AGED}, {"cookie": ALIAS}]
    assert [planned(**given).is_asked for given in upkeep] == [False] * len(upkeep)


def test_nothing_is_sent_after_the_headers() -> None:
    for entry, body, cookie in product([ENTRY, OLD, AGED], [BODY, CHANGED], [HAS_IT, ALIAS, SENT]):
        made = planned(entry=entry, body=body, cookie=cookie)
        assert cookie.writable or not made.sends_cookie
        assert (made.write is Write.NOTHING) == (made.entry is entry and made.write is not Write.RENEW)


def test_an_end_leaves_nothing_of_what_was_asked_before_it() -> None:
    before = Intent(rotate=True, renew_grace=5, sets_lifetime=True, lifetime=50)
    assert before.then(Intent(end=True)) == Intent(end=True)
    assert Intent(end=True).then(Intent(rotate=True)) == Intent(end=True, rotate=True)
    assert before.then(Intent(sets_lifetime=True)) == before._replace(lifetime=None)
    assert before.then(Intent(renew_grace=9)).renew_grace == 9
