"""What the cookie says, and which cookies are taken for ours: rows C1 to C11 of the requirements."""

from __future__ import annotations

import base64
import hmac
import operator
import re
import string
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from starlette_sessions_ext import ConfigurationError, EventKind, MemoryStore, SessionEvent, SessionMiddleware
from starlette_sessions_ext._core.ids import new_id
from starlette_sessions_ext._core.plan import SetCookie
from starlette_sessions_ext._http.cookie import MAX_CANDIDATES, Found, SessionCookie
from starlette_sessions_ext._http.cookie_signer import Signature
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Browser, Handler, make_app
from ..support.handlers import clear, logout, put, untouched, view
from ..support.store_wrappers import CountingStore
from .conftest import SETTINGS, Setting

pytestmark = pytest.mark.anyio

DAY = 24 * 60 * 60
Advance = Callable[[float], Awaitable[None]]
RawHeader = tuple[bytes, bytes]


@pytest.fixture(scope="module")
def setting() -> Setting:
    """No store and no event loop has a part in what is sent and which cookies are taken for ours."""
    return SETTINGS["memory-asyncio"]


async def fill(request: Request) -> Any:
    """/fill?size=bytes"""
    request.state.session["filling"] = "x" * int(request.query_params["size"])
    return {}


HANDLERS = {
    "/": view,
    "/put": put,
    "/fill": fill,
    "/untouched": untouched,
    "/destroy": logout,
    "/clear": clear,
}


def answering(*headers: RawHeader, act: Callable[[Any], object]) -> Handler:
    """A handler that does `act` to the session and answers with these headers."""

    async def answer(request: Request) -> Response:
        act(request.state.session)
        response = Response()
        response.raw_headers.extend(headers)
        return response

    return answer


def write(session: Any) -> None:
    session["user"] = "ann"


def build(**options: Any) -> SessionMiddleware:
    return SessionMiddleware(make_app(MemoryStore(), {}), **{"secret_key": SECRET, "store": MemoryStore(), **options})


def attributes(line: str) -> dict[str, str]:
    """The attributes of a Set-Cookie line by name in lower case; none is there twice."""
    pairs = [part.strip().partition("=") for part in line.split(";")[1:]]
    by_name = {name.lower(): value for name, _, value in pairs}
    assert len(by_name) == len(pairs)
    return by_name


def names(lines: Iterable[str]) -> list[str]:
    return [line.partition("=")[0].strip() for line in lines]


# C1


async def test_C1_a_host_cookie_is_secure_httponly_lax_and_without_domain(store: CountingStore) -> None:
    app = make_app(store, HANDLERS, session_cookie="__Host-session", https_only=True)
    (line,) = (await Browser(app, "https").get("/put?user=ann")).set_cookies
    assert line.startswith("__Host-session=")
    expected = {"path": "/", "secure": "", "httponly": "", "samesite": "lax", "max-age": str(14 * DAY)}
    assert attributes(line) == expected


async def test_C1_by_default_the_cookie_is_secure_over_https_and_warned_of_once_over_http(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(store, HANDLERS)
    (secure,) = (await Browser(app, "https").get("/put?user=ann")).set_cookies
    assert caplog.messages == []
    (plain,) = (await Browser(app, "http", host=b"shop.example").get("/put?user=ann")).set_cookies
    await Browser(app, "http", host=b"shop.example").get("/put?user=ann")
    assert attributes(secure) == {**attributes(plain), "secure": ""}
    assert "secure" not in attributes(plain)
    assert [message for message in caplog.messages if "http" in message] == [caplog.messages[0]]


@pytest.mark.parametrize("name", ["__Host-session", "__host-session", "__HOST-session"])
@pytest.mark.parametrize(
    "options",
    [{"domain": "example.com"}, {"path": "/shop"}, {"path": "//"}, {"https_only": False}, {"https_only": 0}],
    ids=str,
)
def test_C1_a_host_cookie_with_a_domain_a_path_or_without_secure_is_refused(name: str, options: dict[str, Any]) -> None:
    build(session_cookie=name)
    with pytest.raises(ConfigurationError, match="__Host-"):
        build(session_cookie=name, **options)


@pytest.mark.parametrize("name", ["__Secure-session", "__secure-session", "__Http-session", "__Host-Http-session"])
def test_C1_a_prefixed_cookie_without_secure_is_refused(name: str) -> None:
    build(session_cookie=name)
    with pytest.raises(ConfigurationError, match="https_only=True"):
        build(session_cookie=name, https_only=False)


async def test_C1_a_prefixed_cookie_is_secure_on_a_server_behind_a_proxy_that_speaks_http(store: CountingStore) -> None:
    for name in ("__Host-session", "__secure-session"):
        app = make_app(store, HANDLERS, session_cookie=name)
        (line,) = (await Browser(app, "http").get("/put?user=ann")).set_cookies
        assert "secure" in attributes(line)


# C2

CROSS_SITE: list[dict[str, Any]] = [
    {"same_site": "none"},
    {"partitioned": True},
    {"partitioned": True, "same_site": "none"},
]


@pytest.mark.parametrize("options", CROSS_SITE, ids=str)
@pytest.mark.parametrize("insecure", [False, 0])
def test_C2_a_cross_site_cookie_without_secure_is_refused(options: dict[str, Any], insecure: Any) -> None:
    with pytest.raises(ConfigurationError, match="https_only=True"):
        build(https_only=insecure, **options)


@pytest.mark.parametrize("options", CROSS_SITE, ids=str)
async def test_C2_a_cross_site_cookie_is_always_secure(store: CountingStore, options: dict[str, Any]) -> None:
    app = make_app(store, HANDLERS, **options)
    (line,) = (await Browser(app, "http").get("/put?user=ann")).set_cookies
    found = attributes(line)
    assert "secure" in found
    assert found["samesite"] == options.get("same_site", "lax")
    assert ("partitioned" in found) is options.get("partitioned", False)


@pytest.mark.parametrize("same_site", ["", "Lax", "no", "none; domain=evil.example", None, True])
def test_C2_an_unknown_samesite_is_refused(same_site: Any) -> None:
    with pytest.raises(ConfigurationError, match="same_site"):
        build(same_site=same_site)


@pytest.mark.parametrize("https_only", ["yes", "Auto", "", None, 2])
def test_C2_an_unknown_https_only_is_refused(https_only: Any) -> None:
    with pytest.raises(ConfigurationError, match="https_only"):
        build(https_only=https_only)


# C3


async def test_C3_the_cookie_is_as_long_for_a_byte_as_for_a_megabyte(store: CountingStore) -> None:
    app = make_app(store, HANDLERS)
    lengths = set()
    for size in (1, 1_000_000):
        browser = Browser(app)
        assert (await browser.get(f"/fill?size={size}")).status == 200
        assert len((await browser.get("/")).json()["filling"]) == size
        lengths.add(len("session") + len(browser.cookies["session"]))
    (length,) = lengths
    assert length <= 200


# C4

TOKEN_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"  # RFC 9110, 5.6.2
COOKIE_OCTETS = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")  # RFC 6265bis, 4.1.1: no DQUOTE , ; \
AV_OCTETS = re.compile(r"[\x20-\x3a\x3c-\x7e]*")

tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=20)
paths = st.text(st.characters(codec="ascii"), max_size=10).map("/".__add__)
domains = st.from_regex(r"\.?[a-z0-9-]{1,9}(\.[a-z0-9-]{1,9}){0,3}", fullmatch=True)


def random_cookie(random: Random) -> SessionCookie:
    """A cookie of any name, secrets and attributes that go together."""
    secrets = ["".join(chr(random.randrange(1, 0xD800)) for _ in range(random.randrange(16, 40))) for _ in range(2)]
    prefix = random.choice(["", "", "__Host-", "__Secure-"])
    return SessionCookie(
        prefix + "".join(random.choices(TOKEN_CHARACTERS, k=random.randrange(1, 30))),
        random.choice([secrets, secrets[0]]),
        path=random.choice(["/", "/shop"]) if prefix != "__Host-" else "/",
        domain=random.choice([None, "example.com"]) if prefix != "__Host-" else None,
        same_site=random.choice(["lax", "strict", "none"]),
        partitioned=random.choice([False, True]),
    )


def check_pair(line: str, expected_name: str) -> None:
    """The line begins with `token=cookie-octets`."""
    name, _, value = line.split(";")[0].partition("=")
    assert name == expected_name
    assert set(name) <= set(TOKEN_CHARACTERS)
    assert COOKIE_OCTETS.fullmatch(value)


def check_attributes(line: str, expected: set[str]) -> None:
    """The line has these attributes, none of them able to start another."""
    found = attributes(line)
    assert set(found) == expected
    assert AV_OCTETS.fullmatch("".join(found.values()))


@pytest.mark.slow
def test_C4_a_hundred_thousand_random_cookies_are_well_formed() -> None:
    random = Random(4)
    for _ in range(1_000):
        cookie = random_cookie(random)
        for _ in range(100):
            check_pair(cookie.render(SetCookie(new_id(), DAY), secure=True).decode("ascii"), cookie.name)


@pytest.mark.slow
@given(
    name=tokens | st.text(max_size=20),
    path=paths | st.text(max_size=20),
    domain=st.none() | domains | st.text(max_size=20),
    partitioned=st.booleans(),
    max_age=st.none() | st.integers(-DAY, DAY),
)
@settings(max_examples=1_000, deadline=None, database=None)
def test_C4_any_configuration_is_refused_or_gives_a_well_formed_line(
    name: str, path: str, domain: str | None, partitioned: bool, max_age: int | None
) -> None:
    try:
        cookie = SessionCookie(name, SECRET, path=path, domain=domain, partitioned=partitioned)
    except ConfigurationError:
        return
    expected = {"path", "httponly", "samesite", "secure"}
    expected |= {"domain"} if domain else set()
    expected |= {"partitioned"} if partitioned else set()
    expected |= set() if max_age is None else {"max-age"}
    line = cookie.render(SetCookie(new_id(), max_age), secure=True).decode("ascii")
    check_pair(line, name)
    check_attributes(line, expected)


def test_a_cookie_is_spelled_as_it_ever_was() -> None:
    """Another spelling, or another way from the secret to the signature, would sign everybody out."""
    line = SessionCookie("session", SECRET).render(SetCookie("a" * 32, 60), secure=True)
    signature = sha256_signature("a" * 32 + "~")
    assert line == f"session={'a' * 32}~{signature}; path=/; Max-Age=60; httponly; samesite=lax; secure".encode()


def sha256_signature(signed: str) -> str:
    """By hand: HMAC-SHA-256 with a key derived from the secret and the cookie's name."""
    key = hmac.digest(SECRET.encode(), b"starlette_sessions_ext.cookie session", "sha256")
    return base64.urlsafe_b64encode(hmac.digest(key, signed.encode(), "sha256")).rstrip(b"=").decode()


def test_the_signature_is_that_of_itsdangerous() -> None:
    cookie = SessionCookie("session", SECRET)
    for secure, mark in ((False, "-"), (True, "~")):
        value = cookie.sign("a" * 32, secure=secure)
        assert value[33:] == cookie.signer.get_signature("a" * 32 + mark).decode()


def test_the_first_secret_signs_and_what_another_signed_is_outdated() -> None:
    new, *others = ("n" * 16, "o" * 16, "p" * 16)
    cookie = SessionCookie("session", [new, *others])
    for secret in (new, *others):
        value = SessionCookie("session", secret).sign("a" * 32)
        assert cookie.find({"headers": [(b"cookie", b"session=" + value.encode())]}) == Found(
            "a" * 32, "a" * 32 if secret == new else None
        )
    both = [SessionCookie("session", "o" * 16).sign(letter * 32) for letter in "ab"]
    header = "; ".join(f"session={value}" for value in both).encode()
    assert cookie.find({"headers": [(b"cookie", header)]}) == Found("a" * 32, None, ("b" * 32,))


# C5


@pytest.mark.parametrize("character", [";", "\r", "\n", "\r\n", "\0", " ", ",", "\t", "\x7f", "é", "\xa0"])
@pytest.mark.parametrize(
    ("option", "good"),
    [("session_cookie", "session"), ("path", "/shop"), ("domain", "example.com"), ("same_site", "lax")],
)
def test_C5_what_could_start_another_attribute_or_line_is_refused(option: str, good: str, character: str) -> None:
    build(**{option: good})
    for bad in (character + good, good[:2] + character + good[2:], good + character):
        with pytest.raises(ConfigurationError):
            build(**{option: bad})


@pytest.mark.parametrize("options", [{"session_cookie": ""}, {"path": ""}, {"path": "shop"}, {"domain": ""}], ids=str)
def test_C5_an_empty_name_path_or_domain_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        build(**options)


# C6

OTHERS = ["session2=a; Path=/", "xsession=b", "Session=c; HttpOnly"]


@pytest.mark.parametrize("act", [write, operator.methodcaller("destroy")], ids=["write", "logout"])
@pytest.mark.parametrize("theirs", ["session=mine", "session=mine; Path=/x; Secure", "session =mine", "\tsession=mine"])
async def test_C6_other_cookies_of_the_handler_stay_and_our_name_is_there_once(
    store: CountingStore, act: Callable[[Any], object], theirs: str
) -> None:
    headers = [(b"Set-Cookie", line.encode()) for line in (*OTHERS[:2], theirs, OTHERS[2])]
    browser = Browser(make_app(store, {**HANDLERS, "/act": answering(*headers, act=act)}))
    await browser.get("/put?cart=1")
    if act is write:
        browser.cookies.clear()
    lines = (await browser.get("/act")).set_cookies
    assert [line for line in lines if line in OTHERS] == OTHERS
    assert names(lines).count("session") == 1
    assert theirs not in lines


# C7

LOGOUT_OPTIONS: list[dict[str, Any]] = [
    {},
    {"domain": "example.com", "path": "/shop", "same_site": "strict"},
    {"session_cookie": "__Host-session", "partitioned": True, "same_site": "none"},
    {"https_only": False, "max_age": None},
]


@pytest.mark.parametrize("path", ["/destroy", "/clear"])
@pytest.mark.parametrize("options", LOGOUT_OPTIONS, ids=str)
async def test_C7_a_logout_expires_the_very_cookie_that_was_set(
    store: CountingStore, options: dict[str, Any], path: str
) -> None:
    app = make_app(store, HANDLERS, **options)
    for scheme in ("http", "https"):
        browser = Browser(app, scheme)
        (made,) = (await browser.get("/put?user=ann")).set_cookies
        (cleared,) = (await browser.get(path)).set_cookies
        assert cleared.startswith(f"{options.get('session_cookie', 'session')}=;")
        expected, found = attributes(made), attributes(cleared)
        expires = found.pop("expires")
        expected.pop("max-age", None)  # some browsers take Max-Age=0 for no Max-Age at all: Expires says it
        assert found == expected
        assert_past_imf_fixdate(expires)


def assert_past_imf_fixdate(text: str) -> None:
    form = "%a, %d %b %Y %H:%M:%S GMT"  # RFC 9110, 5.6.7
    moment = datetime.strptime(text, form).replace(tzinfo=UTC)
    assert moment.strftime(form) == text
    assert moment < datetime.now(UTC)


# C8

ACCESSES: dict[str, Callable[[Any], object]] = {
    "[]": lambda session: session["user"],
    "get": lambda session: session.get("user"),
    "in": lambda session: "user" in session,
    "len": len,
    "iter": list,
    "reversed": lambda session: list(reversed(session)),
    "bool": bool,
    "==": lambda session: session == {},
    "!=": lambda session: session != {},
    "reflected ==": partial(operator.eq, {}),
    "keys": lambda session: session.keys(),
    "values": lambda session: session.values(),
    "items": lambda session: session.items(),
    "copy": lambda session: session.copy(),
    "dict": dict,
    "unpacked": lambda session: {**session},
    "|": lambda session: session | {},
    "reflected |": lambda session: {} | session,
    "pop": lambda session: session.pop("cart", None),
    "setdefault": lambda session: session.setdefault("user", "bob"),
    "|=": lambda session: session.__ior__({}),
    "popitem": lambda session: session.popitem(),
    "is_new": lambda session: session.is_new,
    "created_at": lambda session: session.created_at,
    "expires_at": lambda session: session.expires_at,
    "lifetime": lambda session: session.lifetime,
}


def access(how: str) -> Callable[[Any], object]:
    def act(session: Any) -> None:
        with suppress(KeyError):  # that the key isn't there is an answer as well
            ACCESSES[how](session)

    return act


@pytest.mark.parametrize("how", ACCESSES)
async def test_C8_any_access_makes_the_response_vary_with_the_cookie(store: CountingStore, how: str) -> None:
    browser = Browser(make_app(store, {**HANDLERS, "/act": answering(act=access(how))}))
    assert (await browser.get("/act")).all("vary") == ["Cookie"]
    browser.cookies.clear()
    await browser.get("/put?user=ann&cart=1")
    assert (await browser.get("/act")).all("vary") == ["Cookie"]


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ([(b"vary", b"accept")], ["accept, Cookie"]),
        ([(b"Vary", b"X-Cookie")], ["X-Cookie, Cookie"]),
        ([(b"VARY", b"accept")], ["accept", "Cookie"]),  # no ASGI spelling; several are read as one
        ([(b"vary", b"accept,COOKIE ,origin")], ["accept,COOKIE ,origin"]),
        ([(b"vary", b"*")], ["*"]),
        ([(b"vary", b"accept"), (b"vary", b"cookie")], ["accept", "cookie"]),
        ([(b"vary", b"accept"), (b"vary", b"origin")], ["accept, Cookie", "origin"]),
    ],
)
async def test_C8_the_vary_of_the_application_stays(
    store: CountingStore, theirs: list[RawHeader], expected: list[str]
) -> None:
    browser = Browser(make_app(store, {"/act": answering(*theirs, act=len)}))
    assert (await browser.get("/act")).all("vary") == expected


async def test_C8_a_refresh_of_an_untouched_session_varies_with_the_cookie(
    store: CountingStore, clock: FakeClock, advance: Advance
) -> None:
    browser = Browser(make_app(store, HANDLERS, clock=clock))
    await browser.get("/put?user=ann")
    await advance(2 * DAY)
    answer = await browser.get("/untouched")
    assert answer.all("vary") == ["Cookie"]
    assert names(answer.set_cookies) == ["session"]


async def test_C8_an_untouched_session_leaves_the_response_and_the_row_alone(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    assert await mentions(browser, "/untouched") == []
    assert store.calls == []
    await browser.get("/put?user=ann")
    store.calls.clear()
    assert await mentions(browser, "/untouched") == []
    assert store.calls == ["load"]


async def mentions(browser: Browser, path: str) -> list[str]:
    """What the response to `path` has to say about cookies and caches."""
    answer = await browser.get(path)
    return [value for name in ("vary", "set-cookie", "cache-control") for value in answer.all(name)]


# C9

ISSUING: dict[str, Callable[[Any], object]] = {
    "/created": write,
    "/refreshed": lambda session: None,
    "/cleared": operator.methodcaller("destroy"),
}

CACHE_CONTROLS = [
    ([], ["no-store"]),
    (["public, max-age=600"], ["no-store"]),
    (["max-age=600", "s-maxage=600"], ["no-store"]),
    (["no-cache"], ["no-store"]),
    (['private="x-user"'], ["no-store"]),  # only that field is private; the rest may be cached
    (["private"], ["private"]),
    (["max-age=60, PRIVATE"], ["max-age=60, PRIVATE"]),
    (["no-store"], ["no-store"]),
    (["max-age=60", "no-store"], ["max-age=60", "no-store"]),
]


@pytest.mark.parametrize(("theirs", "expected"), CACHE_CONTROLS)
async def test_C9_no_shared_cache_keeps_a_response_that_sets_our_cookie(
    store: CountingStore, clock: FakeClock, advance: Advance, theirs: list[str], expected: list[str]
) -> None:
    headers = [(b"Cache-Control", value.encode()) for value in theirs]
    handlers = {path: answering(*headers, act=act) for path, act in ISSUING.items()}
    browser = Browser(make_app(store, handlers, clock=clock))
    for path in ISSUING:
        answer = await browser.get(path)
        assert names(answer.set_cookies) == ["session"]
        assert answer.all("cache-control") == expected
        await advance(2 * DAY)


async def test_C9_without_our_cookie_the_cache_control_of_the_application_stays(store: CountingStore) -> None:
    browser = Browser(make_app(store, {"/": answering((b"cache-control", b"public"), act=len), "/put": put}))
    await browser.get("/put?user=ann")
    assert (await browser.get("/")).all("cache-control") == ["public"]


# C10


def forged(number: int = 0) -> bytes:
    """A cookie's value as well formed as ours, signed with another secret."""
    return SessionCookie("session", f"{number}: not the secret of this service").sign(new_id()).encode()


def crumbs(*values: bytes, name: bytes = b"session") -> list[list[bytes]]:
    """The values under our name, among others, in one Cookie header and in one each (HTTP/2)."""
    pairs = [b"a=1", *(name + b"=" + value for value in values), b"b=2"]
    return [[b"; ".join(pairs)], [b";".join(pairs)], pairs]


async def signed_in(browser: Browser, user: str) -> bytes:
    """The cookie's value of a new session."""
    browser.cookies.clear()
    await browser.get(f"/put?user={user}")
    (value,) = browser.cookies.values()
    return value.encode()


async def test_C10_duplicate_cookies_one_of_which_is_good_are_read(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    good = await signed_in(browser, "ann")
    for values in ([good], [b"bad", good], [good, b"bad"], [forged(), good], [good, forged()], [b"", good], [good] * 3):
        for headers in crumbs(*values):
            store.calls.clear()
            answer = await browser.get("/", cookie_headers=headers)
            assert answer.json() == {"user": "ann"}
            assert answer.set_cookies == []
            assert store.calls == ["load"]


async def test_C10_of_two_different_valid_ids_the_first_is_taken_with_an_event(store: CountingStore) -> None:
    events: list[SessionEvent] = []
    browser = Browser(make_app(store, HANDLERS, on_event=events.append))
    first, second = await signed_in(browser, "ann"), await signed_in(browser, "bob")
    for headers in crumbs(first, second):
        events.clear()
        assert (await browser.get("/", cookie_headers=headers)).json() == {"user": "ann"}
        assert events == [SessionEvent(EventKind.DUPLICATE_COOKIES)]


async def test_C10_under_a_host_name_neither_of_two_valid_ids_is_taken(store: CountingStore) -> None:
    events: list[SessionEvent] = []
    browser = Browser(make_app(store, HANDLERS, on_event=events.append, session_cookie="__Host-session"), "https")
    first, second = await signed_in(browser, "ann"), await signed_in(browser, "bob")
    for headers in crumbs(first, second, name=b"__Host-session"):
        events.clear()
        store.calls.clear()
        answer = await browser.get("/", cookie_headers=headers)
        assert answer.json() == {}
        assert answer.set_cookies == []
        assert store.calls == []
        assert events == [SessionEvent(EventKind.DUPLICATE_COOKIES)]


async def test_C10_the_same_id_twice_is_one_id_even_under_a_host_name(store: CountingStore) -> None:
    events: list[SessionEvent] = []
    browser = Browser(make_app(store, HANDLERS, on_event=events.append, session_cookie="__Host-session"), "https")
    value = await signed_in(browser, "ann")
    events.clear()
    for headers in crumbs(value, value, name=b"__Host-session"):
        assert (await browser.get("/", cookie_headers=headers)).json() == {"user": "ann"}
    assert events == []


async def test_C10_fifty_valid_ids_cost_one_load_and_a_look_before_one_is_sent(
    store: CountingStore,
) -> None:
    browser = Browser(make_app(store, HANDLERS))
    first = await signed_in(browser, "ann")
    cookie = SessionCookie("session", SECRET)
    others = [cookie.sign(new_id()).encode() for _ in range(49)]
    for headers in crumbs(first, *others):
        store.calls.clear()
        assert (await browser.get("/", cookie_headers=headers)).json() == {"user": "ann"}
        assert store.calls == ["load", "load"]


def test_C10_fifty_duplicates_cost_a_bounded_number_of_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = SessionCookie("session", [SECRET, "an older secret of 16 bytes"])
    values = [forged(number) for number in range(50)]
    signed: list[Any] = []
    sign = Signature.of

    def counting(self: Signature, value: bytes) -> bytes:
        signed.append(value)
        return sign(self, value)

    monkeypatch.setattr(Signature, "of", counting)
    for headers in crumbs(*values):
        signed.clear()
        assert cookie.find({"headers": [(b"cookie", header) for header in headers]}) == Found()
        assert len(signed) == 2 * MAX_CANDIDATES


def test_C10_the_last_candidate_that_is_looked_at_is_still_found() -> None:
    cookie = SessionCookie("session", SECRET)
    session_id = new_id()
    good = cookie.sign(session_id).encode()
    malformed = [b"bad"] * 50  # costs no signature, so it doesn't count
    for forgeries, expected in ((MAX_CANDIDATES - 1, session_id), (MAX_CANDIDATES, None)):
        for headers in crumbs(*malformed, *map(forged, range(forgeries)), good):
            assert cookie.find({"headers": [(b"cookie", header) for header in headers]}).session_id == expected


# C11

LOOKALIKES = [
    b"=__Host-s=VALUE",
    b"__host-s=VALUE",
    b"__HOST-S=VALUE",
    b"__Host-s =VALUE",
    b"__Host-s\t=VALUE",
    b"__Host-s= VALUE",
    b'__Host-s="VALUE"',
    b'__Host-s="VALUE',
    b"__Host-s=VALUE ",
    b"__Host-s=VALUE\x00",
    b"__Host-s=VALUE\n",
    b"__Host-s=VALUE,",
    rb"\137\137Host-s=VALUE",
    rb'"\137\137Host-s"=VALUE',
    b"%5F%5FHost-s=VALUE",
    b"\xa0__Host-s=VALUE",
    b"\xc2\xa0__Host-s=VALUE",
    b"\xe2\x80\x83__Host-s=VALUE",
    b"\x0b__Host-s=VALUE",
    b"\n__Host-s=VALUE",
    b"\x00__Host-s=VALUE",
    b"x__Host-s=VALUE",
    b"x=__Host-s=VALUE",
    b"x,__Host-s=VALUE",
    b'x="; y __Host-s=VALUE',
    b"__Host-s",
]


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_C11_a_cookie_that_only_looks_like_ours_is_not_ours(lookalike: bytes) -> None:
    cookie = SessionCookie("__Host-s", SECRET)
    session_id = new_id()
    value = cookie.sign(session_id).encode()
    ours, not_ours = b"__Host-s=" + value, lookalike.replace(b"VALUE", value)
    for header in (not_ours, b"a=1; " + not_ours, not_ours + b"; b=2"):
        assert cookie.find({"headers": [(b"cookie", header)]}).session_id is None
    for header in (ours, b"a=1; " + ours, ours + b"; b=2", b"\t" + ours, not_ours + b"; " + ours):
        assert cookie.find({"headers": [(b"cookie", header)]}).session_id == session_id


def test_C11_only_the_cookie_header_holds_cookies() -> None:
    cookie = SessionCookie("session", SECRET)
    value = b"session=" + cookie.sign(new_id()).encode()
    assert (
        cookie.find({"headers": [(b"cookie2", value), (b"x-cookie", value), (b"set-cookie", value)]}).session_id is None
    )


def test_C11_a_name_is_taken_letter_by_letter() -> None:
    cookie = SessionCookie("a.b*c+$", SECRET)
    session_id = new_id()
    value = cookie.sign(session_id).encode()
    assert cookie.find({"headers": [(b"cookie", b"a.b*c+$=" + value)]}).session_id == session_id
    for name in (b"axb*c+$", b"a.c+$", b"a.bbc+$", b"a.bcc$", b"A.b*c+$"):
        assert cookie.find({"headers": [(b"cookie", name + b"=" + value)]}).session_id is None
