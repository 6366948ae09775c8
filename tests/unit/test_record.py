"""A record as bytes, and the arithmetic of when a session ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from starlette_sessions_ext import ConfigurationError, CorruptRecord
from starlette_sessions_ext._core.ids import digest_of, key_of, new_id, new_nonce
from starlette_sessions_ext._core.lifetimes import DEFAULT_IDLE, RENEW_GRACE, Lifetimes
from starlette_sessions_ext._core.record import Alias, Header, decode
from starlette_sessions_ext._time import MAX_TIMESTAMP, parse_duration

HUNDRED_YEARS = 100 * 366 * 24 * 60 * 60
KEY = "abcdefghijklmnopqrstuvwxyz234567"
NONCE, PUBLIC = "0123456789abcdef", "fedcba9876543210"

KEYS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=32, max_size=32)
TIMES = st.integers(0, 10**11)
DURATIONS = st.integers(1, HUNDRED_YEARS)
HEADERS = st.builds(
    Header,
    *(KEYS, TIMES, TIMES, st.none() | DURATIONS),
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.none() | TIMES,
    st.none() | st.text("abcXYZ019_-", min_size=2, max_size=50),
)

NONSENSE: list[Any] = [
    *(0, -1, HUNDRED_YEARS + 1, 10**16, True, False, 1.0, float("nan"), float("inf"), "60", None, [60]),
    *(timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=999), timedelta.max, timedelta.min),
]


def made(created_at: int = 1000, lifetime: int | None = None) -> Header:
    return Header(KEY, created_at, created_at, lifetime, PUBLIC)


@given(header=HEADERS, body=st.binary())
def test_a_record_comes_back_as_it_was(header: Header, body: bytes) -> None:
    assert decode(header.encode(new_nonce(), body), header.key) == (header, body)


@pytest.mark.parametrize(
    ("header", "body", "raw"),
    [
        (Header(KEY, 1000, 1010, None, PUBLIC), b"{}", f"s2 {KEY} 1000 1010 - {PUBLIC} - - {NONCE}\n{{}}".encode()),
        (Header(KEY, 0, 0, 60, PUBLIC, 5, "e30"), b"\n\0", f"s2 {KEY} 0 0 60 {PUBLIC} 5 e30 {NONCE}\n\n\0".encode()),
    ],
)
def test_the_bytes_of_a_record(header: Header, body: bytes, raw: bytes) -> None:
    assert header.encode(NONCE, body) == raw
    assert decode(raw, KEY) == (header, body)


def test_a_record_of_version_0_1_is_named_by_the_digest_of_its_key() -> None:
    raw = f"s1 {KEY} 1000 1010 60 {NONCE}\n{{}}".encode()
    assert decode(raw, KEY) == (Header(KEY, 1000, 1010, 60, digest_of(KEY)), b"{}")


@given(alias=st.builds(Alias, KEYS, TIMES, st.just(NONCE), KEYS, st.none() | TIMES), other=KEYS)
def test_an_alias_comes_back_as_it_was_and_is_refused_under_any_other_key(alias: Alias, other: str) -> None:
    assert decode(alias.encode(), alias.key) == alias
    if other != alias.key:
        with pytest.raises(CorruptRecord, match=r"^a stored record belongs to another session"):
            decode(alias.encode(), other)


@given(header=HEADERS, other=KEYS)
def test_a_record_is_refused_under_any_other_key(header: Header, other: str) -> None:
    if other != header.key:
        with pytest.raises(CorruptRecord, match=r"^a stored record belongs to another session"):
            decode(header.encode(NONCE, b"{}"), other)


@given(header=HEADERS, cut=st.integers(min_value=0))
def test_a_header_that_was_cut_is_corrupt(header: Header, cut: int) -> None:
    raw = header.encode(NONCE, b"{}")
    with pytest.raises(CorruptRecord):
        decode(raw[: cut % raw.index(b"\n")], header.key)


@given(raw=st.binary())
def test_other_bytes_are_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptRecord):
        decode(raw, KEY)


@pytest.mark.parametrize(
    "header",
    [
        *("", "\n", "{}", f"s1 {KEY} 1000 1000 -\n", f"s1 {KEY} 1000 1000 - {NONCE}"),
        *(f"s1 {KEY} 1000 1000 - {NONCE[:-1]}g\n", f"s1 {KEY} 1000 1000 - g{NONCE[1:]}\n"),
        *(f"s1 {KEY} 1000 1000 - {NONCE}\r\n", f"s1 {KEY} 1000 - {NONCE}\n", f"s1 {KEY} 1000 1000 1000 - {NONCE}\n"),
        *(f"s1 {KEY} 1000 1000 - {PUBLIC} - - {NONCE}\n", f"s3 {KEY} 1000 1000 - {PUBLIC} - - {NONCE}\n"),
        *(f"s2 {KEY} 1000 1000 - {PUBLIC[1:]} - - {NONCE}\n", f"s2 {KEY} 1000 1000 - {PUBLIC} -1 - {NONCE}\n"),
        *(f"s2 {KEY} 1000 1000 - {PUBLIC} - {NONCE}\n", f"s2 {KEY} 1000 1000 - {PUBLIC} - e=0 {NONCE}\n"),
        *(f"s2 {KEY} 1000 1000 - {NONCE}\n", f" s1 {KEY} 1000 1000 - {NONCE}\n"),
        *(f"s1 {KEY.upper()} 1000 1000 - {NONCE}\n", f"s1 {KEY[1:]}\0 1000 1000 - {NONCE}\n"),
        *(f"s1 {KEY[1:]} 1000 1000 - {NONCE}\n", f"s1 {KEY}a 1000 1000 - {NONCE}\n"),
        *(f"s1 {KEY} -1 1000 - {NONCE}\n", f"s1 {KEY} 1000 1.5 - {NONCE}\n", f"s1 {KEY} 1000 1000 -5 {NONCE}\n"),
        *(f"s1 {KEY} \u0661 1000 - {NONCE}\n", f"s1 {KEY} 1000 {10**12} - {NONCE}\n"),
        *(f"s1 {KEY} 1000 1000 {10**12} {NONCE}\n", f"s1  {KEY} 1000 1000 - {NONCE}\n"),
        *(f"s1 {KEY} 1000 1000 - {NONCE[1:]}\n", f"s1 {KEY} 1000 1000 - {NONCE.upper()}\n"),
        *(f"a1 {KEY} 1000 {NONCE}\n", f"a1 {KEY} 1000 {NONCE} {KEY[1:]}\n", f"a1 {KEY} - {NONCE} {KEY}\n"),
        *(f"a1 {KEY} 1000 {NONCE} {KEY}", f"a1 {KEY} 1000 {NONCE} {KEY}\n\n", f"s1 {KEY} 1000 {NONCE} {KEY}\n"),
    ],
)
def test_other_headers_are_corrupt(header: str) -> None:
    with pytest.raises(CorruptRecord, match=r"^a stored row isn't a session record"):
        decode(header.encode() + b"{}", KEY)


def test_a_repr_holds_no_key() -> None:
    assert (
        repr(Header(key_of(new_id()), 1000, 1010, 60, PUBLIC)) == "Header(created_at=1000, issued_at=1010, lifetime=60)"
    )


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, 1),
        (HUNDRED_YEARS, HUNDRED_YEARS),
        (timedelta(days=1), 86400),  # .seconds would be 0
        (timedelta(minutes=1, milliseconds=999), 60),
    ],
)
def test_durations(value: Any, read: int) -> None:
    assert parse_duration(value, "idle_timeout") == read


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_isnt_a_duration(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="idle_timeout must be a positive int"):
        parse_duration(value, "idle_timeout")


@pytest.mark.parametrize(
    ("options", "lifetimes"),
    [
        ((60, None, None, None), Lifetimes(60)),
        ((None, None, None, None), Lifetimes(None)),
        ((0, None, None, None), Lifetimes(0)),
        ((-1, None, None, None), Lifetimes(-1)),
        ((HUNDRED_YEARS, None, None, None), Lifetimes(HUNDRED_YEARS)),
        ((0, None, None, 5), Lifetimes(0, touch_interval=5)),
        (
            (timedelta(hours=1), timedelta(minutes=1), timedelta(days=1), timedelta(seconds=1)),
            Lifetimes(3600, 60, 86400, 1),
        ),
        ((60, 60, 60, 59), Lifetimes(60, 60, 60, 59)),
        ((None, HUNDRED_YEARS, None, None), Lifetimes(None, HUNDRED_YEARS)),
        ((None, None, None, DEFAULT_IDLE - 1), Lifetimes(None, None, None, DEFAULT_IDLE - 1)),
        ((60, None, None, None, timedelta(seconds=11)), Lifetimes(60, None, None, None, 11)),
    ],
)
def test_options_that_work(options: tuple[Any, ...], lifetimes: Lifetimes) -> None:
    assert Lifetimes.configured(*options) == lifetimes


@pytest.mark.parametrize(
    ("options", "named"),
    [
        *(((value, None, None, None), "max_age") for value in (True, 1.0, float("nan"), "60", 10**16, -(10**16))),
        ((timedelta.max, None, None, None), "max_age"),
        *(((60, value, None, None), "idle_timeout") for value in NONSENSE if value is not None),
        *(((60, None, value, None), "absolute_timeout") for value in NONSENSE if value is not None),
        *(((60, None, None, value), "touch_interval") for value in NONSENSE if value is not None),
        *(((60, None, None, None, value), "renew_after") for value in [*NONSENSE, RENEW_GRACE] if value is not None),
        ((60, 61, None, None), "idle_timeout"),
        ((60, None, None, 60), "touch_interval"),
        ((1, None, None, 1), "touch_interval"),
        ((3600, 60, None, 60), "touch_interval"),
        ((None, None, None, DEFAULT_IDLE), "touch_interval"),
    ],
)
def test_options_that_cant_work_are_refused_by_name(options: tuple[Any, ...], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{named} "):
        Lifetimes.configured(*options)


@pytest.mark.parametrize(
    ("lifetimes", "header", "now", "expires_at"),
    [
        (Lifetimes(60), made(), 2000, 2060),
        (Lifetimes(60), made(), 2000.999, 2060),
        (Lifetimes(60, idle=10), made(), 2000, 2010),
        (Lifetimes(None), made(), 2000, 2000 + DEFAULT_IDLE),
        (Lifetimes(None, idle=10), made(), 2000, 2010),
        (Lifetimes(60, idle=10), made(lifetime=300), 2000, 2300),
        (Lifetimes(60, absolute=1030), made(), 2000, 2030),
        (Lifetimes(60, absolute=1030), made(lifetime=300), 2000, 2030),
        (Lifetimes(1), made(), 2000, 2001),
        (Lifetimes(0), made(), 2000, 2000),
        (Lifetimes(-5), made(), 2000, 2000),
        (Lifetimes(HUNDRED_YEARS), made(), MAX_TIMESTAMP - 1, MAX_TIMESTAMP),
    ],
)
def test_when_a_session_expires(lifetimes: Lifetimes, header: Header, now: float, expires_at: int) -> None:
    assert lifetimes.expires_at(header, now) == expires_at


@pytest.mark.parametrize(
    ("absolute", "now", "expired"),
    [(100, 1099, False), (100, 1099.999, False), (100, 1100, True), (100, 5000, True), (None, 10**11, False)],
)
def test_the_absolute_deadline_itself_is_too_late(absolute: int | None, now: float, expired: bool) -> None:
    assert Lifetimes(None, absolute=absolute).expired(made(), now) is expired


@given(created=TIMES, idle=DURATIONS, absolute=DURATIONS, lifetime=st.none() | DURATIONS, used=TIMES)
@example(created=0, idle=1, absolute=1, lifetime=None, used=0)
def test_no_use_ever_passes_the_absolute_deadline(
    created: int, idle: int, absolute: int, lifetime: int | None, used: int
) -> None:
    lifetimes, header = Lifetimes(None, idle, absolute), made(created, lifetime)
    expires_at = lifetimes.expires_at(header, used)
    assert expires_at <= min(created + absolute, used + (lifetime or idle))
    assert lifetimes.expired(header, created + absolute)


@pytest.mark.parametrize(
    ("lifetimes", "header", "expires_at", "now", "due"),
    [
        # A tenth of the idle time, 100 here, unless said otherwise.
        (Lifetimes(1000), made(), 2000, 1099, False),
        (Lifetimes(1000), made(), 2000, 1100, True),
        (Lifetimes(1000, touch_interval=1), made(), 2000, 1000, False),
        (Lifetimes(1000, touch_interval=1), made(), 2000, 1001, True),
        (Lifetimes(1000, touch_interval=999), made(), 2000, 1998, False),
        (Lifetimes(1000, touch_interval=999), made(), 2000, 1999, True),
        # A tenth of less than ten seconds is a second.
        (Lifetimes(5), made(), 1005, 1000, False),
        (Lifetimes(5), made(), 1005, 1001, True),
        # What has ended at once is never touched.
        (Lifetimes(0), made(), 1000, 1000, False),
        # At the absolute deadline there is nothing to move any more.
        (Lifetimes(1000, absolute=500), made(), 1500, 1499, False),
        # The session's own lifetime counts, also where it is shorter than the interval.
        (Lifetimes(1000, touch_interval=1), made(lifetime=50), 1050, 1001, True),
        (Lifetimes(1000, touch_interval=999), made(lifetime=999), 1999, 1098, False),
        (Lifetimes(1000, touch_interval=999), made(lifetime=999), 1999, 1099, True),
        (Lifetimes(1000, touch_interval=600), made(lifetime=50), 1050, 1004, False),
        (Lifetimes(1000, touch_interval=600), made(lifetime=50), 1050, 1005, True),
    ],
)
def test_when_a_touch_is_due(lifetimes: Lifetimes, header: Header, expires_at: int, now: float, due: bool) -> None:
    assert lifetimes.touch_due(header, expires_at, now) is due


@given(
    idle=st.integers(2, 10**6), lifetime=st.none() | st.integers(2, 10**6), interval=st.none() | st.integers(1, 10**6)
)
def test_a_session_in_use_never_expires(idle: int, lifetime: int | None, interval: int | None) -> None:
    """One that is used in the last second before its deadline is touched then."""
    if interval is not None and interval >= idle:
        return  # refused at construction
    lifetimes, header = Lifetimes(None, idle, touch_interval=interval), made(1000, lifetime)
    expires_at = lifetimes.expires_at(header, 1000)
    assert lifetimes.touch_due(header, expires_at, expires_at - 1)


@pytest.mark.parametrize(
    ("renew_after", "now", "due"), [(None, 9000, False), (60, 1059.9, False), (60, 1060, True), (60, 5000, True)]
)
def test_an_id_is_renewed_at_its_age(renew_after: int | None, now: float, due: bool) -> None:
    assert Lifetimes(3600, renew_after=renew_after).renew_due(made(1000), now) is due


@pytest.mark.parametrize(
    ("lifetimes", "header", "now", "max_age", "moves"),
    [
        (Lifetimes(60), made(), 2000, 60, True),
        (Lifetimes(60, idle=10), made(), 2000, 60, True),
        (Lifetimes(None), made(), 2000, None, False),
        (Lifetimes(None), made(lifetime=300), 2000, 300, True),
        (Lifetimes(60), made(lifetime=300), 2000, 300, True),
        (Lifetimes(60, absolute=1030), made(), 2000, 30, False),
        (Lifetimes(60, absolute=1030), made(), 2000.5, 30, False),
        (Lifetimes(60, absolute=1060), made(), 2000, 60, False),
        (Lifetimes(60, absolute=1061), made(), 2000, 60, True),
        (Lifetimes(None, absolute=1030), made(), 2000, None, False),
        (Lifetimes(-1), made(), 2000, -1, True),
    ],
)
def test_the_cookie_lives_as_long_as_the_session_may(
    lifetimes: Lifetimes, header: Header, now: float, max_age: int | None, moves: bool
) -> None:
    assert lifetimes.cookie_max_age(header, now) == max_age
    assert lifetimes.touch_moves_cookie(header, now) is moves


LIFETIMES = st.builds(Lifetimes, *[st.none() | st.integers(1, 50)] * 5)


@given(
    lifetimes=LIFETIMES,
    lifetime=st.none() | st.integers(1, 50),
    expires_at=st.integers(950, 1100),
    now=st.floats(950, 1150),
)
def test_upkeep_is_due_when_a_use_moves_the_expiry_or_renews_the_id(
    lifetimes: Lifetimes, lifetime: int | None, expires_at: int, now: float
) -> None:
    header = made(lifetime=lifetime)
    due = lifetimes.touch_due(header, expires_at, now) or lifetimes.renew_due(header, now)
    assert lifetimes.upkeep_due(header, expires_at, now) is due
