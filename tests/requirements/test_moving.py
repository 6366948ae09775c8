"""Moving in from another session middleware: nobody is signed out, and nobody who signed out comes back."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import anyio
import pytest
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.middleware.sessions import SessionMiddleware as StarletteSessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from starlette_sessions_ext import (
    ConfigurationError,
    EventKind,
    LegacyCookie,
    LegacySession,
    MemoryStore,
    SessionEvent,
    SessionMiddleware,
    SessionStore,
    StarletteCookie,
)
from starlette_sessions_ext._core.ids import Successors, id_of_legacy, key_of
from starlette_sessions_ext.legacy_cookies import MAX_CANDIDATES
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Answer, Browser, Handler, make_app
from ..support.handlers import logout, put, renew, view
from ..support.scheduler import Scheduler, every_order
from ..support.store_wrappers import CountingStore, DownStore, GatedStore
from .conftest import SETTINGS, memory_only

pytestmark = pytest.mark.anyio

DAY = 24 * 60 * 60
OLD_SECRET = "what Starlette's middleware had"
Advance = Callable[[float], Awaitable[None]]


HANDLERS: dict[str, Handler] = {"/": view, "/put": put, "/logout": logout, "/renew": renew}


async def issued(**options: Any) -> Browser:
    """A browser with a session of Starlette's own middleware that holds {"user": "ann"}."""

    async def sign_in(request: Request) -> JSONResponse:
        request.session["user"] = "ann"
        return JSONResponse({})

    app = Starlette(routes=[Route("/", sign_in)])
    app.add_middleware(StarletteSessionMiddleware, secret_key=OLD_SECRET, **options)
    browser = Browser(app)
    await browser.get("/")
    return browser


async def moved(store: SessionStore, clock: FakeClock, **options: Any) -> Browser:
    """That browser, before our middleware."""
    browser = await issued()
    clock.now = max(clock.now, float(int(time.time())))  # Starlette goes by the real time
    browser.app = make_app(store, HANDLERS, clock=clock, **{"legacy_cookies": [StarletteCookie(OLD_SECRET)], **options})
    return browser


async def test_a_cookie_of_starlettes_becomes_a_session_and_is_replaced(store: CountingStore, clock: FakeClock) -> None:
    events: list[SessionEvent] = []
    browser = await moved(store, clock, on_event=events.append)
    old = browser.tab()
    answer = await browser.get("/")
    assert answer.json() == {"user": "ann"}
    assert (answer.all("vary"), answer.all("cache-control")) == (["Cookie"], ["no-store"])
    assert browser.cookies["session"] != old.cookies["session"]
    assert store.calls == ["load", "create", "create", "load"]
    assert [event.kind for event in events] == [EventKind.LEGACY_IMPORTED]
    store.calls.clear()
    assert (await browser.get("/")).json() == {"user": "ann"}
    assert store.calls == ["load"]


@pytest.mark.parametrize(("on_store_error", "status"), [("unavailable", 503), ("anonymous", 200)])
async def test_without_the_store_the_cookie_is_kept(
    store: CountingStore, clock: FakeClock, on_store_error: str, status: int
) -> None:
    down = DownStore(store)
    browser = await moved(down, clock, on_store_error=on_store_error)
    down.down = True
    answer = await browser.get("/")
    assert (answer.status, answer.set_cookies) == (status, [])
    down.down = False
    assert (await browser.get("/")).json() == {"user": "ann"}


async def test_a_response_that_got_lost_costs_nothing(store: CountingStore, clock: FakeClock) -> None:
    browser = await moved(store, clock)
    lost = browser.tab()
    await browser.get("/put?a=1")
    assert (await lost.get("/")).json() == {"user": "ann", "a": "1"}
    assert lost.cookies == browser.cookies


async def test_a_logout_is_final_against_a_copy_of_the_old_cookie(
    store: CountingStore, clock: FakeClock, advance: Advance
) -> None:
    browser = await moved(store, clock)
    copy = browser.tab()
    await browser.get("/logout")
    assert browser.cookies == {}
    for _ in range(3):
        assert (await copy.tab().get("/")).json() == {}
        await advance(DAY)
    copy.app = make_app(
        store,
        HANDLERS,
        clock=clock,
        secret_key=["another secret of 16 bytes", SECRET],
        legacy_cookies=[StarletteCookie(OLD_SECRET)],
    )
    assert (await copy.get("/")).json() == {}, "whatever secret of ours signs by then"


async def test_a_damaged_trace_of_the_old_cookie_is_left_alone(store: CountingStore, clock: FakeClock) -> None:
    events: list[SessionEvent] = []
    browser = await moved(store, clock, on_event=events.append)
    key = key_of(id_of_legacy(browser.cookies["session"].rpartition(".")[0]))
    await store.store.create(key, b"damaged", int(clock()) + DAY)
    assert (await browser.get("/")).json() == {}
    assert [event.kind for event in events] == [EventKind.RECORD_CORRUPT]
    stored = await store.store.load(key)
    assert stored is not None
    assert stored.data == b"damaged"


def spellings(cookie: str) -> list[str]:
    """The same cookie in ways that base64 reads alike: two bits at its end, and foreign characters, don't count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(cookie[-1])
    return [cookie[:-1] + alphabet[last ^ 1], cookie[:-1] + alphabet[last ^ 3], f"{cookie}=", f"{cookie}!!!!"]


async def test_another_spelling_of_the_old_cookie_is_the_same_cookie(store: CountingStore, clock: FakeClock) -> None:
    browser = await moved(store, clock)
    copies = [browser.tab() for _ in spellings(browser.cookies["session"])]
    for copy, spelling in zip(copies, spellings(browser.cookies["session"]), strict=True):
        copy.cookies["session"] = spelling
        answer = await copy.tab().get("/")
        assert answer.json() == {"user": "ann"}, f"Starlette's middleware accepts it too: {spelling}"
    await browser.get("/logout")
    assert [(await copy.get("/")).json() for copy in copies] == [{}] * len(copies)


async def test_clocks_that_differ_dont_bring_an_ended_session_back(store: CountingStore, clock: FakeClock) -> None:
    browser = await moved(store, clock)
    copy = browser.tab()
    await browser.get("/logout")
    stored = await store.store.load(key_of(id_of_legacy(copy.cookies["session"].rpartition(".")[0])))
    assert stored is not None
    assert stored.expires_at >= clock() + 14 * DAY + 60


async def test_a_renewal_of_the_session_leaves_the_old_cookie_worthless(store: CountingStore, clock: FakeClock) -> None:
    browser = await moved(store, clock)
    old = browser.tab()
    await browser.get("/")
    await browser.get("/renew")
    assert (await old.get("/")).json() == {}
    assert (await browser.get("/")).json() == {"user": "ann"}


async def test_twenty_parallel_first_requests_share_one_session(store: CountingStore, clock: FakeClock) -> None:
    browser = await moved(store, clock)
    tabs = [browser.tab() for _ in range(20)]
    async with anyio.create_task_group() as group:
        for number, tab in enumerate(tabs):
            group.start_soon(tab.get, f"/put?key{number}={number}")
    assert len({tab.cookies["session"] for tab in tabs}) == 1
    assert (await tabs[0].get("/")).json() == {"user": "ann", **{f"key{n}": str(n) for n in range(20)}}


# The orders are some hundreds: what they are about is the same on all stores, which keep one contract.
@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", [SETTINGS["memory-asyncio"], SETTINGS["memory-trio"]], indirect=True, ids=["asyncio", "trio"]
)
@pytest.mark.parametrize("other", ["/put?b=2", "/logout"])
async def test_two_first_requests_share_one_session_in_every_order(
    store: CountingStore, clock: FakeClock, other: str
) -> None:
    async def scenario(scheduler: Scheduler) -> None:
        clock.advance(1)
        browser = await moved(GatedStore(store, scheduler.pass_through), clock)
        browser.cookies["session"] = cookie_of({"user": "ann"}, clock())  # another one for each order
        tabs = [browser.tab(), browser.tab()]
        answers: list[Answer] = []

        def visit(tab: Browser, path: str) -> Callable[[], Awaitable[None]]:
            async def go() -> None:
                answers.append(await tab.get(path))

            return go

        await scheduler.run([visit(tabs[0], "/put?a=1"), visit(tabs[1], other)])
        assert [answer.status for answer in answers] == [200, 200]
        if other == "/logout":
            assert tabs[1].cookies == {}
            for tab in (browser, tabs[0]):
                assert "user" not in (await tab.get("/")).json()
        else:
            assert tabs[0].cookies == tabs[1].cookies
            assert (await browser.get("/")).json() == {"user": "ann", "a": "1", "b": "2"}
            assert isinstance(store.store, MemoryStore)
            sessions = [row for row in store.store._rows.values() if row.data.startswith(b"s2")]
            assert len(sessions) == 1, "who comes second takes back the row that it made"
            store.store._rows.clear()

    assert await every_order(scenario, limit=1000) > 10


def cookie_of(data: Any, now: float, secret: str = OLD_SECRET) -> str:
    """A cookie as Starlette's middleware would have signed it at that time."""

    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(now)

    return Signer(secret).sign(b64encode(json.dumps(data).encode())).decode()


NOT_OURS: dict[str, Callable[[float], str]] = {
    "another secret": lambda now: cookie_of({"user": "eve"}, now, "another secret"),
    "expired": lambda now: cookie_of({"user": "ann"}, now - 14 * DAY - 1),
    "from the future": lambda now: cookie_of({"user": "ann"}, now + 60),
    "empty": lambda now: cookie_of({}, now),
    "a list": lambda now: cookie_of(["user"], now),
    "no JSON": lambda now: TimestampSigner(OLD_SECRET).sign(b"bm90IGpzb24=").decode(),
    "no base64": lambda now: TimestampSigner(OLD_SECRET).sign(b"A").decode(),
    "cut": lambda now: cookie_of({"user": "ann"}, now)[:-1],
    "null": lambda now: "null",
    "nothing": lambda now: "",
    "not ASCII": lambda now: "\xff" + cookie_of({"user": "ann"}, now),
}


@memory_only
@pytest.mark.parametrize("kind", NOT_OURS)
async def test_what_doesnt_verify_costs_no_call(store: CountingStore, clock: FakeClock, kind: str) -> None:
    browser = await moved(store, clock)
    answer = await browser.get("/", cookie_headers=[b"session=" + NOT_OURS[kind](clock()).encode("latin-1")])
    assert (answer.json(), answer.set_cookies, store.calls) == ({}, [], [])


async def test_the_session_ends_with_its_old_cookie_unless_it_was_used(
    store: CountingStore, clock: FakeClock, advance: Advance
) -> None:
    browser = await moved(store, clock)
    last = cookie_of({"user": "ann"}, clock() - 14 * DAY)
    browser.cookies["session"] = last
    assert (await browser.get("/")).json() == {"user": "ann"}
    await advance(1)
    assert (await browser.get("/")).json() == {"user": "ann"}
    assert (await browser.get("/", cookie_headers=[f"session={last}".encode()])).json() == {}


async def test_from_a_day_on_the_secret_opens_nothing(store: CountingStore, clock: FakeClock) -> None:
    clock.now = datetime(2030, 1, 1, tzinfo=UTC).timestamp() - 1
    browser = await moved(store, clock, legacy_cookies=[StarletteCookie(OLD_SECRET, until=date(2030, 1, 1))])
    browser.cookies["session"] = cookie_of({"user": "ann"}, clock() - 60)
    assert (await browser.tab().get("/")).json() == {"user": "ann"}
    clock.advance(1)
    store.calls.clear()
    assert (await browser.get("/")).json() == {}
    assert store.calls == []


async def test_a_cookie_without_an_end_is_read_until_the_day(store: CountingStore, clock: FakeClock) -> None:
    browser = await moved(
        store, clock, legacy_cookies=[StarletteCookie(OLD_SECRET, max_age=None, until=date(2999, 1, 1))]
    )
    browser.cookies["session"] = cookie_of({"user": "ann"}, clock() - 1000 * DAY)
    assert (await browser.get("/")).json() == {"user": "ann"}


async def test_the_old_cookie_may_have_another_name(store: CountingStore, clock: FakeClock) -> None:
    browser = await issued(session_cookie="old")
    clock.now = max(clock.now, float(int(time.time())))
    kinds = [StarletteCookie(OLD_SECRET), StarletteCookie(Secret(OLD_SECRET), name="old", max_age=timedelta(days=14))]
    browser.app = make_app(store, HANDLERS, clock=clock, legacy_cookies=kinds)
    assert (await browser.get("/put?a=1")).status == 200
    assert set(browser.cookies) == {"old", "session"}
    store.calls.clear()
    assert (await browser.get("/")).json() == {"user": "ann", "a": "1"}
    assert store.calls == ["load"], "our own cookie comes first"
    await browser.get("/logout")
    assert (await browser.get("/")).json() == {}


async def test_many_cookies_of_the_name_are_bounded_work(store: CountingStore, clock: FakeClock) -> None:
    browser = await moved(store, clock)
    good = cookie_of({"user": "ann"}, clock()).encode()
    bad = [b"session=null"] * (MAX_CANDIDATES - 1)
    assert (await browser.get("/", cookie_headers=[b"; ".join(bad), b"a=1; session=" + good])).json() == {"user": "ann"}
    assert (await browser.get("/", cookie_headers=[b"; ".join([*bad, b"session=0", b"session=" + good])])).json() == {}


async def test_another_cookie_is_read_by_a_protocol_of_the_applications_own(
    store: CountingStore, clock: FakeClock
) -> None:
    class Signed:
        name = "auth"

        async def read(self, value: str, now: float) -> LegacySession | None:
            user, _, signature = value.partition(":")
            return LegacySession(user, {"user": user}, int(now) + 60) if signature == "good" else None

    browser = Browser(make_app(store, HANDLERS, clock=clock, legacy_cookies=[Signed()]), cookies={"auth": "bob:good"})
    assert isinstance(Signed(), LegacyCookie)
    assert (await browser.get("/")).json() == {"user": "bob"}
    assert (await Browser(browser.app, cookies={"auth": "bob:bad"}).get("/")).json() == {}


async def test_data_that_cant_be_stored_is_left_out_with_a_warning(
    store: CountingStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    browser = await moved(store, clock)
    browser.cookies["session"] = cookie_of({"user": float("nan")}, clock())
    answer = await browser.get("/")
    assert (answer.json(), store.calls) == ({}, [])
    assert "'user'" in caplog.text


async def test_an_id_that_is_taken_isnt_taken_over(
    store: CountingStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, browser = await moved(store, clock), await moved(store, clock)
    victim.cookies.clear()
    await victim.get("/put?user=vic")
    monkeypatch.setattr(Successors, "make", lambda self, *of: victim.cookies["session"][:32])
    answer = await browser.get("/")
    assert (answer.json(), answer.set_cookies) == ({}, [])
    assert (await victim.get("/")).json() == {"user": "vic"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StarletteCookie(""), "secret_key"),
        (lambda: StarletteCookie(["one"]), "secret_key"),  # type: ignore[arg-type]
        (lambda: StarletteCookie("one", max_age=None), "until"),
        (lambda: StarletteCookie("one", max_age=0), "max_age"),
        (lambda: StarletteCookie("one", until="2030-01-01"), "until"),  # type: ignore[arg-type]
        (lambda: StarletteCookie("one", until=datetime(2030, 1, 1)), "until"),
        (
            lambda: SessionMiddleware(Starlette(), SECRET, store=MemoryStore(), legacy_cookies=["secret"]),  # type: ignore[list-item]
            "legacy_cookies",
        ),
    ],
)
def test_settings_that_cant_work_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()
