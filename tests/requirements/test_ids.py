"""The session id: random, never adopted, never readable from the store, new when asked: rows I1 to I8."""

from __future__ import annotations

import random
import secrets
import string
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from hashlib import sha256
from typing import Any

import anyio
import pytest
from itsdangerous import Signer, TimestampSigner
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from starlette_sessions_ext import (
    ConfigurationError,
    MemoryStore,
    SessionMiddleware,
    SessionStore,
    StoreError,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext._core.repository import ID_TRIES, LATE_FOR
from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Answer, Browser, make_app
from ..support.handlers import logout, put, untouched, view
from ..support.scheduler import Scheduler, every_order
from ..support.store_wrappers import CountingStore, GatedStore, WrappedStore
from .conftest import memory_only

pytestmark = pytest.mark.anyio

DAY = 24 * 60 * 60
ID_CHARACTERS = set(string.ascii_lowercase + "234567")
Advance = Callable[[float], Awaitable[None]]
Dump = Callable[[], Awaitable[bytes]]


async def put_and_save(request: Request) -> Any:
    request.state.session.update(request.query_params)
    await request.state.session.save()
    return {}


async def count(request: Request) -> Any:
    def increment(data: dict[str, Any]) -> None:
        data["count"] = data.get("count", 0) + 1

    await request.state.session.atomic(increment)
    return {}


async def sign_in(request: Request) -> Any:
    request.state.session["user"] = "ann"
    request.state.session.rotate()
    return {}


async def upgrade(request: Request) -> Any:
    """Rotate what is there, and start nothing new."""
    if request.state.session:
        request.state.session["user"] = "ann"
        request.state.session.rotate()
    return {}


HANDLERS = {
    "/": view,
    "/put": put,
    "/save": put_and_save,
    "/count": count,
    "/sign-in": sign_in,
    "/upgrade": upgrade,
    "/destroy": logout,
    "/untouched": untouched,
}


def id_of(browser: Browser) -> str:
    return browser.cookies["session"][:32]


def signed(session_id: str) -> str:
    return SessionCookie("session", SECRET).sign(session_id)


# I1


@pytest.mark.slow
def test_I1_a_million_ids_are_unique() -> None:
    assert len({new_id() for _ in range(1_000_000)}) == 1_000_000


def test_I1_every_character_of_an_id_is_random() -> None:
    columns = list(zip(*(new_id() for _ in range(10_000)), strict=True))
    assert len(columns) * 5 >= 128  # bits: each of these has 32 values
    assert all(set(column) == ID_CHARACTERS for column in columns)


def test_I1_an_id_is_made_of_at_least_128_bits_of_secrets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def token_bytes(size: int) -> bytes:
        asked.append(size)
        return bytes(range(size))

    monkeypatch.setattr(secrets, "token_bytes", token_bytes)
    assert new_id() == new_id()
    assert len(asked) == 2
    assert min(asked) * 8 >= 128


def test_I1_a_seed_changes_nothing() -> None:
    ids = set()
    for _ in range(100):
        random.seed(1)
        ids.add(new_id())
    assert len(ids) == 100


def test_I1_a_patched_random_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("random", "getrandbits", "randbytes", "randint", "randrange", "choice", "choices", "sample"):
        monkeypatch.setattr(random, name, lambda *_, **__: b"")
    assert len({new_id() for _ in range(100)}) == 100


FORK = """
import os
from starlette_sessions_ext._core.ids import new_id

new_id()
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, " ".join(new_id() for _ in range(100)).encode())
    os._exit(0)
os.wait()
print(os.read(reader, 65536).decode(), *(new_id() for _ in range(100)))
"""


def test_I1_a_forked_process_makes_other_ids() -> None:
    output = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True).stdout
    assert len(output.split()) == 200
    assert len(set(output.split())) == 200


# I2


async def destroyed(browser: Browser, advance: Advance) -> None:
    await browser.tab().get("/destroy")


async def rotated_away(browser: Browser, advance: Advance) -> None:
    await browser.tab().get("/sign-in")
    await advance(LATE_FOR)


async def idle_too_long(browser: Browser, advance: Advance) -> None:
    await advance(2 * DAY)


async def too_old_though_in_use(browser: Browser, advance: Advance) -> None:
    for _ in range(5):
        await advance(DAY - 1)
        await browser.get("/untouched")


async def never_stored(browser: Browser, advance: Advance) -> None:
    browser.cookies["session"] = signed(new_id())


@pytest.mark.parametrize("end", [destroyed, rotated_away, idle_too_long, too_old_though_in_use, never_stored])
async def test_I2_a_write_under_a_well_signed_id_without_a_session_gets_a_new_id(
    store: CountingStore, clock: FakeClock, advance: Advance, end: Callable[[Browser, Advance], Awaitable[None]]
) -> None:
    app = make_app(store, HANDLERS, clock=clock, max_age=2 * DAY, absolute_timeout=4 * DAY)
    for write in ("/put?user=eve", "/save?user=eve", "/count", "/sign-in"):
        browser = Browser(app)
        await browser.get("/put?secret=1")
        await end(browser, advance)
        fixated = id_of(browser)
        assert (await browser.get("/")).json() == {}
        assert (await browser.get(write)).status == 200
        assert id_of(browser) != fixated
        assert await store.store.load(key_of(fixated)) is None
        assert (await browser.get("/")).json() in ({"user": "eve"}, {"count": 1}, {"user": "ann"})


async def test_I2_the_row_of_a_session_past_its_absolute_deadline_is_left_alone(
    store: CountingStore, clock: FakeClock, advance: Advance
) -> None:
    browser = Browser(make_app(store, HANDLERS, clock=clock))
    await browser.get("/put?secret=1")
    await advance(DAY)
    old, row = id_of(browser), await store.store.load(key_of(id_of(browser)))
    assert row is not None
    browser.app = make_app(store, HANDLERS, clock=clock, absolute_timeout=DAY)  # a shorter one than it was stored with
    await browser.get("/put?user=eve")
    assert id_of(browser) != old
    assert (await browser.get("/")).json() == {"user": "eve"}
    assert await store.store.load(key_of(old)) == row


# I3


def damaged(value: bytes) -> Iterator[bytes]:
    """Each bit flipped, each truncation, each character added in front, behind and within."""
    for position in range(len(value)):
        for bit in range(8):
            yield value[:position] + bytes([value[position] ^ 1 << bit]) + value[position + 1 :]
        yield value[:position]
        yield value[position + 1 :]
        yield value[:position] + value[position + 1 :]
        yield value[: position + 1] + value[position:]
    for number in set(range(256)) - {ord(";")}:  # a semicolon ends the cookie: what follows is another
        yield bytes([number]) + value
        yield value + bytes([number])
    yield from (value.upper(), value + value, b'"' + value + b'"', value + b"=", b"%" + value.hex().encode())


def signed_otherwise(session_id: str) -> list[bytes]:
    """The id signed in other ways, most of them with the right secret."""
    ours: dict[str, Any] = {"salt": "starlette_sessions_ext.cookie", "key_derivation": "hmac", "digest_method": sha256}
    signers = [
        Signer(SECRET, **{**ours, "salt": "starlette_sessions_ext.other"}),
        Signer(SECRET, **{**ours, "salt": ""}),
        Signer(SECRET, **{**ours, "salt": None}),  # the default of itsdangerous
        Signer(SECRET, **{**ours, "key_derivation": "concat"}),
        Signer(SECRET, **{**ours, "key_derivation": "none"}),
        Signer(SECRET, **{**ours, "sep": ":"}),
        Signer(SECRET, digest_method=sha256),
        Signer(SECRET),
        TimestampSigner(SECRET),
        TimestampSigner(SECRET, **ours),
        Signer("another secret of this length", **ours),
    ]
    return [signer.sign(session_id) for signer in signers]


def unsigned(session_id: str, signature: str) -> list[str]:
    """The id with no signature, or with one that isn't its own."""
    other = signed(new_id()).partition(".")[2]
    return [
        session_id,
        f"{session_id}.",
        f".{signature}",
        f"{session_id}.{other}",
        f"{new_id()}.{signature}",
        f"{session_id}.{'A' * 43}",
        f"{session_id}.{session_id}",
        f"{session_id}{signature}",
        key_of(session_id),
        "null",
        "e30=",
        '{"user":"ann"}',
    ]


async def starlettes_own(session: dict[str, Any]) -> bytes:
    """The cookie in which Starlette's own middleware keeps `session`, made with our secret."""

    async def fill(request: Request) -> Response:
        request.session.update(session)
        return JSONResponse({})

    app = Starlette(routes=[Route("/", fill)], middleware=[Middleware(StarletteSessionMiddleware, secret_key=SECRET)])
    browser = Browser(app)
    await browser.get("/")
    return browser.cookies["session"].encode()


async def assert_anonymous(store: CountingStore, browser: Browser, values: list[bytes]) -> None:
    """None of the values opens a session, reaches the store, or comes back in the response."""
    store.calls.clear()
    for value in values:
        answer = await browser.get("/", cookie_headers=[b"session=" + value])
        assert (answer.status, answer.json(), answer.set_cookies) == (200, {}, [])
        assert len(value) < 8 or value not in b"\n".join([answer.body, *(b for pair in answer.headers for b in pair)])
    assert store.calls == []


@memory_only
async def test_I3_a_damaged_cookie_is_anonymous(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    await assert_anonymous(store, browser, list(damaged(browser.cookies["session"].encode())))
    assert (await browser.get("/")).json() == {"user": "ann"}


@memory_only
async def test_I3_a_cookie_signed_otherwise_or_not_at_all_is_anonymous(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    session_id, signature = browser.cookies["session"][:32], browser.cookies["session"][33:]
    await assert_anonymous(store, browser, signed_otherwise(session_id))
    await assert_anonymous(store, browser, [value.encode() for value in unsigned(session_id, signature)])
    assert (await browser.get("/")).json() == {"user": "ann"}


@memory_only
async def test_I3_the_cookie_of_starlettes_own_sessions_is_anonymous(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await assert_anonymous(
        store, browser, [await starlettes_own({"user": "ann"}), await starlettes_own({"a": new_id()})]
    )


@memory_only
async def test_I3_a_write_after_a_forged_cookie_starts_a_session_of_its_own(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    victim = id_of(browser)
    store.calls.clear()
    browser.cookies["session"] = f"{victim}.{'A' * 43}"
    await browser.get("/put?user=eve")
    assert store.calls == ["create"]
    assert id_of(browser) != victim


# I4


async def test_I4_the_store_holds_no_id_and_no_cookie(store: CountingStore, dump: Dump) -> None:
    app = make_app(store, HANDLERS)
    browsers = [Browser(app) for _ in range(100)]
    for number, browser in enumerate(browsers):
        await browser.get(f"/put?number={number}")
        await browser.get("/sign-in" if number % 2 else f"/put?again={number}")
    everything = await dump()
    for browser in browsers:
        session_id, signature = browser.cookies["session"][:32], browser.cookies["session"][33:]
        assert key_of(session_id).encode() in everything  # so this is where sessions are
        assert session_id.encode() not in everything
        assert signature.encode() not in everything


async def test_I4_a_stored_key_opens_no_session(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    key = key_of(id_of(browser))
    thief = browser.tab()
    for value in (key, signed(key)):
        thief.cookies["session"] = value
        assert (await thief.get("/")).json() == {}
        assert (await thief.get("/put?user=eve")).status == 200
        assert id_of(thief) != key
    assert (await browser.get("/")).json() == {"user": "ann"}


# I5


async def test_I5_a_rotation_moves_the_data_and_ends_the_old_id_at_once(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?cart=1")
    old = browser.tab()
    await browser.get("/sign-in")
    assert id_of(browser) != id_of(old)
    assert (await old.get("/")).json() == {}
    row = await store.store.load(key_of(id_of(old)))
    assert row is not None
    assert b"cart" not in row.data, "the old row only says that the id was replaced"
    assert (await browser.get("/")).json() == {"cart": "1", "user": "ann"}


async def test_I5_a_rotation_keeps_the_absolute_deadline(
    store: CountingStore, clock: FakeClock, advance: Advance
) -> None:
    browser = Browser(make_app(store, HANDLERS, clock=clock, absolute_timeout=100))
    await browser.get("/put?cart=1")
    await advance(60)
    (line,) = (await browser.get("/sign-in")).set_cookies
    assert "; Max-Age=40;" in line
    await advance(39)
    assert (await browser.get("/")).json() == {"cart": "1", "user": "ann"}
    await advance(1)
    assert (await browser.get("/")).json() == {}


async def test_I5_of_two_concurrent_rotations_one_wins_in_every_order(store: CountingStore) -> None:
    async def scenario(scheduler: Scheduler) -> None:
        browser = Browser(make_app(GatedStore(store, scheduler.pass_through), HANDLERS))
        await browser.get("/put?cart=1")
        tabs = [browser.tab(), browser.tab()]
        answers: list[Answer] = []

        async def ask(tab: Browser) -> None:
            answers.append(await tab.get("/upgrade"))

        await scheduler.run([partial(ask, tab) for tab in tabs])
        assert [answer.status for answer in answers] == [200, 200]
        assert sum(len(answer.set_cookies) for answer in answers) == 1
        assert (await browser.get("/")).json() == {}
        winner = tabs[id_of(tabs[0]) == id_of(browser)]
        assert (await winner.get("/")).json() == {"cart": "1", "user": "ann"}

    assert await every_order(scenario) > 10


class FaultyStore(WrappedStore):
    """Fails once when `call` is made: before the store carries it out, or after (`answer_lost`)."""

    def __init__(self, store: SessionStore, fail: Callable[[], Awaitable[None]]) -> None:
        super().__init__(store)
        self.fail = fail
        self.call = ""
        self.answer_lost = False

    async def before(self, call: str) -> None:
        if call == self.call and not self.answer_lost:
            await self._fail()

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        created = await super().create(key, data, expires_at)
        await self._after("create")
        return created

    async def replace(self, key: str, data: bytes, expires_at: int, version: Any) -> bool:
        replaced = await super().replace(key, data, expires_at, version)
        await self._after("replace")
        return replaced

    async def _after(self, call: str) -> None:
        if call == self.call:
            await self._fail()

    async def _fail(self) -> None:
        self.call = ""
        await self.fail()


STEPS = [("load", False), ("create", False), ("create", True), ("replace", False), ("replace", True)]


async def test_I5_the_steps_of_a_rotation(store: CountingStore) -> None:
    """The crashes below are at each of them; a load changes nothing, so losing its answer is as not asking."""
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?cart=1")
    store.calls.clear()
    await browser.get("/sign-in")
    assert store.calls == ["load", "create", "replace"]


@pytest.mark.parametrize(("call", "answer_lost"), STEPS)
async def test_I5_a_store_that_fails_at_any_step_leaves_the_old_session_without_the_new_rights(
    store: CountingStore, call: str, answer_lost: bool
) -> None:
    async def fail() -> None:
        raise StoreUnavailable("the store is down")

    faulty = FaultyStore(store, fail)
    browser = Browser(make_app(faulty, HANDLERS))
    await browser.get("/put?cart=1")
    faulty.call, faulty.answer_lost = call, answer_lost
    answer = await browser.get("/sign-in")
    assert (answer.status, answer.set_cookies, faulty.call) == (503, [], "")
    assert (await browser.get("/")).json() == left_after(call, answer_lost)


@pytest.mark.parametrize(("call", "answer_lost"), STEPS)
async def test_I5_a_request_cancelled_at_any_step_leaves_the_old_session_without_the_new_rights(
    store: CountingStore, call: str, answer_lost: bool
) -> None:
    scope = anyio.CancelScope()

    async def cancel() -> None:
        scope.cancel()
        await anyio.sleep_forever()

    faulty = FaultyStore(store, cancel)
    browser = Browser(make_app(faulty, HANDLERS))
    await browser.get("/put?cart=1")
    old = browser.cookies.copy()
    faulty.call, faulty.answer_lost = call, answer_lost
    with scope:
        await browser.get("/sign-in")
    assert scope.cancelled_caught
    assert browser.cookies == old
    assert (await browser.get("/")).json() == left_after(call, answer_lost)


def left_after(call: str, answer_lost: bool) -> dict[str, str]:
    """What the old id still opens: the session as it was, until its row is gone."""
    return {} if (call, answer_lost) == ("replace", True) else {"cart": "1"}


# I6

OLD, NEW = "an old secret, 16 bytes at least", "a new secret, 16 bytes at least"


@pytest.mark.parametrize("path", ["/", "/untouched", "/put?cart=1"])
async def test_I6_a_cookie_signed_by_an_older_secret_is_read_and_signed_again(store: CountingStore, path: str) -> None:
    browser = Browser(make_app(store, HANDLERS, secret_key=OLD))
    await browser.get("/put?cart=1")
    before = browser.tab()
    browser.app = make_app(store, HANDLERS, secret_key=[NEW, OLD])
    store.calls.clear()
    (line,) = (await browser.get(path)).set_cookies
    assert store.calls == ["load", "load"], "the second look keeps the cookie of a sign-in that came between"
    assert line.startswith(f"session={SessionCookie('session', NEW).sign(id_of(before))};")
    assert (await browser.get(path)).set_cookies == []
    assert (await browser.get("/")).json() == {"cart": "1"}


@memory_only
async def test_I6_a_removed_secret_verifies_nothing(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS, secret_key=[OLD]))
    await browser.get("/put?cart=1")
    late = browser.tab()
    browser.app = make_app(store, HANDLERS, secret_key=(Secret(NEW), Secret(OLD)))
    await browser.get("/")
    late.app = browser.app = make_app(store, HANDLERS, secret_key=Secret(NEW))
    store.calls.clear()
    assert (await late.get("/")).json() == {}
    assert store.calls == []
    assert (await browser.get("/")).json() == {"cart": "1"}


@memory_only
async def test_I6_the_first_secret_signs_what_is_new(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS, secret_key=[NEW, OLD]))
    await browser.get("/put?cart=1")
    browser.app = make_app(store, HANDLERS, secret_key=NEW)
    assert (await browser.get("/")).json() == {"cart": "1"}


def build(secret_key: Any) -> SessionMiddleware:
    return SessionMiddleware(Starlette(), secret_key, store=MemoryStore())


@pytest.mark.parametrize(
    "secret_key", ["", Secret(""), [], (), [""], [NEW, ""], [NEW, Secret("")], [NEW, None], None, NEW.encode()], ids=str
)
def test_I6_an_empty_secret_is_refused(secret_key: Any) -> None:
    with pytest.raises(ConfigurationError, match="secret_key"):
        build(secret_key)


@pytest.mark.parametrize("secret_key", ["fifteen bytes..", [NEW, "fifteen bytes.."], Secret("x")], ids=str)
def test_I6_a_short_secret_is_warned_of_and_not_told(secret_key: Any, caplog: pytest.LogCaptureFixture) -> None:
    build(secret_key)
    (message,) = caplog.messages
    assert "secret_key" in message
    assert "16 bytes" in message
    assert "fifteen" not in message


@pytest.mark.parametrize("secret_key", ["sixteen bytes...", "ééééeeee8888", [NEW, OLD]], ids=ascii)
def test_I6_a_secret_of_sixteen_bytes_is_no_reason_to_warn(secret_key: Any, caplog: pytest.LogCaptureFixture) -> None:
    build(secret_key)
    assert caplog.messages == []


# I7


def hand_out(monkeypatch: pytest.MonkeyPatch, *taken: str, then: Callable[[], str]) -> None:
    """Let the ids `taken` be the next to be made."""
    ids = iter(taken)
    monkeypatch.setattr("starlette_sessions_ext._core.repository.new_id", lambda: next(ids, None) or then())


async def test_I7_an_id_that_is_taken_is_not_taken_over(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(store, HANDLERS)
    victim, other = Browser(app), Browser(app)
    await victim.get("/put?user=ann")
    row = await store.store.load(key_of(id_of(victim)))
    hand_out(monkeypatch, id_of(victim), then=new_id)
    store.calls.clear()
    await other.get("/put?user=eve")
    assert store.calls == ["create", "create"]
    assert id_of(other) != id_of(victim)
    assert await store.store.load(key_of(id_of(victim))) == row
    assert (await other.get("/")).json() == {"user": "eve"}


async def test_I7_a_rotation_takes_no_id_over(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(store, HANDLERS)
    victim, other = Browser(app), Browser(app)
    await victim.get("/put?user=vic")
    await other.get("/put?cart=1")
    before = id_of(other)
    row = await store.store.load(key_of(id_of(victim)))
    hand_out(monkeypatch, id_of(victim), id_of(other), then=new_id)
    store.calls.clear()
    await other.get("/sign-in")
    assert store.calls == ["load", "create", "create", "create", "replace"]
    assert id_of(other) not in (id_of(victim), before)
    assert await store.store.load(key_of(id_of(victim))) == row
    assert (await other.get("/")).json() == {"cart": "1", "user": "ann"}


async def test_I7_after_a_few_ids_that_are_taken_there_is_an_error(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(store, HANDLERS)
    victim, other = Browser(app), Browser(app)
    await victim.get("/put?user=ann")
    row = await store.store.load(key_of(id_of(victim)))
    hand_out(monkeypatch, then=lambda: id_of(victim))
    store.calls.clear()
    with pytest.raises(StoreError, match="several fresh ids are taken"):
        await other.get("/put?user=eve")
    assert store.calls == ["create"] * ID_TRIES
    assert other.cookies == {}
    assert await store.store.load(key_of(id_of(victim))) == row


async def test_I7_after_a_few_ids_that_are_taken_a_rotation_is_an_error(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(store, HANDLERS)
    victim, other = Browser(app), Browser(app)
    await victim.get("/put?user=vic")
    await other.get("/put?cart=1")
    before = other.tab()
    row = await store.store.load(key_of(id_of(victim)))
    hand_out(monkeypatch, then=lambda: id_of(victim))
    store.calls.clear()
    with pytest.raises(StoreError, match="several fresh ids are taken"):
        await other.get("/sign-in")
    assert store.calls == ["load", *["create"] * ID_TRIES]
    assert other.cookies == before.cookies
    assert await store.store.load(key_of(id_of(victim))) == row
    assert (await other.get("/")).json() == {"cart": "1"}


# I8


@memory_only
async def test_I8_no_signature_counts_that_wasnt_compared_in_constant_time(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    with monkeypatch.context() as patch:
        patch.setattr("hmac.compare_digest", lambda one, other: False)
        other = Browser(make_app(store, HANDLERS))  # it knows no verified cookie yet
        other.cookies |= browser.cookies
        assert (await other.get("/")).json() == {}
    assert (await browser.get("/")).json() == {"user": "ann"}
