"""A new id without a change of privilege: the old one leads to the session for a moment, and never to more.

I5 and K4 for renewed sessions; what `rotate()` does is in test_ids.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from starlette.requests import Request

from starlette_sessions_ext import EventKind, MemoryStore, SessionEvent, SessionStore, StoreUnavailable
from starlette_sessions_ext._core.ids import Successors, key_of
from starlette_sessions_ext._core.repository import ALIAS_RETENTION
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Answer, Browser, Handler, make_app
from ..support.handlers import logout, put, view
from ..support.scheduler import Scheduler, every_order
from ..support.store_wrappers import CountingStore, DownStore, GatedStore, WrappedStore

pytestmark = pytest.mark.anyio

GRACE = 30
HOUR = 3600
Advance = Callable[[float], Awaitable[None]]
Dump = Callable[[], Awaitable[bytes]]
Check = Callable[[list[Browser], list[Answer]], Awaitable[None]]


async def ping(request: Request) -> Any:
    """Doesn't look at the session, but is a use of it."""


async def renew(request: Request) -> Any:
    """/renew?key=value"""
    if request.state.session:
        request.state.session.update(request.query_params)
        request.state.session.renew(grace=GRACE)


async def sign_in(request: Request) -> Any:
    request.state.session["user"] = "ann"
    request.state.session.rotate()


HANDLERS: dict[str, Handler] = {
    "/": view,
    "/put": put,
    "/ping": ping,
    "/renew": renew,
    "/sign-in": sign_in,
    "/logout": logout,
}


def id_of(browser: Browser) -> str:
    return browser.cookies["session"][:32]


async def begun(
    store: SessionStore, clock: FakeClock, handlers: dict[str, Handler] = HANDLERS, **options: Any
) -> Browser:
    """A browser with a session that holds {"start": "0"}."""
    browser = Browser(make_app(store, handlers, clock=clock, **options))
    await browser.get("/put?start=0")
    return browser


async def renewed(browser: Browser, path: str = "/renew") -> Browser:
    """A tab that still has the id which `browser` had before."""
    old = browser.tab()
    await browser.get(path)
    assert id_of(browser) != id_of(old)
    return old


async def data(browser: Browser) -> Any:
    """What the browser's cookie opens; the cookie stays as it is."""
    return (await browser.tab().get("/")).json()


# The old id


async def test_it_leads_to_the_session_and_is_given_the_new_cookie(store: CountingStore, clock: FakeClock) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    assert await data(browser) == {"start": "0"}
    answer = await old.get("/put?late=1")
    assert id_of(old) == id_of(browser)
    assert answer.all("cache-control") == ["no-store"]
    assert await data(browser) == {"start": "0", "late": "1"}


async def test_it_is_given_the_new_cookie_by_a_request_that_only_reads(store: CountingStore, clock: FakeClock) -> None:
    """Also if the response that renewed the session never reached the browser."""
    browser = await begun(store, clock)
    lost = await renewed(browser)
    store.calls.clear()
    assert (await lost.get("/ping")).status == 200
    assert id_of(lost) == id_of(browser)
    assert store.calls == ["load", "load", "load"], "the alias, the session, and whether it is still there at the end"


async def test_it_opens_nothing_after_the_grace(store: CountingStore, clock: FakeClock, advance: Advance) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    await advance(GRACE - 1)
    assert await data(old) == {"start": "0"}
    await advance(1)
    answer = await old.get("/")
    assert (answer.json(), answer.set_cookies) == ({}, [])
    assert await data(browser) == {"start": "0"}


async def test_it_opens_nothing_after_a_logout(store: CountingStore, clock: FakeClock) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    await browser.tab().get("/logout")
    assert await data(old) == await data(browser) == {}


async def test_a_logout_with_it_ends_the_session(store: CountingStore, clock: FakeClock) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    tab = old.tab()
    await tab.get("/logout")
    assert tab.cookies == {}
    assert await data(old) == await data(browser) == {}


async def test_it_opens_nothing_after_a_sign_in(store: CountingStore, clock: FakeClock) -> None:
    """An attacker who planted the id, or read it, can't derive what it becomes."""
    browser = await begun(store, clock)
    old = await renewed(browser)
    between = browser.tab()
    await browser.get("/sign-in")
    assert await data(old) == await data(between) == {}
    assert await data(browser) == {"start": "0", "user": "ann"}


async def test_a_sign_in_with_it_moves_the_session(store: CountingStore, clock: FakeClock) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    tab = old.tab()
    await tab.get("/sign-in")
    assert await data(tab) == {"start": "0", "user": "ann"}
    assert await data(old) == await data(browser) == {}


async def test_it_is_worth_nothing_once_the_session_was_renewed_again(store: CountingStore, clock: FakeClock) -> None:
    browser = await begun(store, clock)
    oldest = await renewed(browser)
    old = await renewed(browser)
    assert await data(oldest) == {}
    assert await data(old) == await data(browser) == {"start": "0"}


async def test_nothing_extends_it(store: CountingStore, clock: FakeClock, advance: Advance) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    for _ in range(3):
        await advance(GRACE / 3)
        await store.store.touch(key_of(id_of(old)), int(clock()) + HOUR)  # as a request that came before would
        assert await old.tab().get("/put?late=1")
    assert await data(old) == {}


async def test_nothing_writes_it(store: CountingStore, clock: FakeClock) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    before = await store.store.load(key_of(id_of(old)))
    for path in ("/put?late=1", "/renew", "/sign-in", "/logout"):
        await old.tab().get(path)
    assert await store.store.load(key_of(id_of(old))) == before


async def test_an_alias_under_another_key_is_refused(store: CountingStore, clock: FakeClock) -> None:
    events: list[SessionEvent] = []
    browser = await begun(store, clock, on_event=events.append)
    victim = await begun(store, clock)
    old = await renewed(victim)
    alias = await store.store.load(key_of(id_of(old)))
    row = await store.store.load(key_of(id_of(browser)))
    assert alias is not None
    assert row is not None
    assert await store.store.replace(key_of(id_of(browser)), alias.data, row.expires_at, row.version)
    assert await data(browser) == {}
    assert events[-1].kind is EventKind.RECORD_CORRUPT


async def test_the_store_holds_neither_id(store: CountingStore, clock: FakeClock, dump: Dump) -> None:
    browser = await begun(store, clock)
    old = await renewed(browser)
    dumped = (await dump()).lower()
    for session_id in (id_of(old), id_of(browser)):
        assert session_id.encode() not in dumped
        assert key_of(session_id).encode() in dumped


async def test_without_the_secret_the_old_id_and_the_whole_store_dont_lead_to_the_new_id(
    store: CountingStore, clock: FakeClock
) -> None:
    browser = await begun(store, clock)
    browser.app = make_app(store, HANDLERS, clock=clock, secret_key=["another secret of 16 bytes", SECRET])
    old = await renewed(browser)
    assert await data(old) == {"start": "0"}
    old.app = make_app(store, HANDLERS, clock=clock, secret_key=[SECRET, "another secret of 16 bytes"])
    assert await data(old) == {"start": "0"}, "whichever of the secrets is the first"
    old.app = make_app(store, HANDLERS, clock=clock, secret_key=SECRET)
    assert await data(old) == {}


async def test_I7_a_renewal_takes_no_id_over(
    store: CountingStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, browser = await begun(store, clock), await begun(store, clock)
    row = await store.store.load(key_of(id_of(victim)))
    ids = iter([id_of(victim)])
    make = Successors.make
    monkeypatch.setattr(Successors, "make", lambda self, *of: next(ids, None) or make(self, *of))
    store.calls.clear()
    await renewed(browser)
    assert store.calls == ["load", "create", "load", "create", "replace"]
    assert await store.store.load(key_of(id_of(victim))) == row
    assert await data(browser) == {"start": "0"}


# Requests under way


@pytest.mark.parametrize("after", [0, GRACE, ALIAS_RETENTION - 1])
async def test_a_request_under_way_loses_no_change(
    store: CountingStore, clock: FakeClock, advance: Advance, after: int
) -> None:
    async def slow(request: Request) -> Any:
        request.state.session["slow"] = 1
        await browser.get("/renew?quick=1")
        await browser.get("/renew")
        await advance(after)

    browser = await begun(store, clock, {**HANDLERS, "/slow": slow})
    tab = browser.tab()
    await tab.get("/slow")
    assert id_of(tab) == id_of(browser)
    assert await data(browser) == {"start": "0", "quick": "1", "slow": 1}


@pytest.mark.parametrize("end", ["/logout", "/sign-in"])
async def test_a_request_under_way_brings_nothing_back(store: CountingStore, clock: FakeClock, end: str) -> None:
    async def slow(request: Request) -> Any:
        request.state.session["slow"] = 1
        await browser.get("/renew")
        await browser.get(end)

    browser = await begun(store, clock, {**HANDLERS, "/slow": slow})
    tab = browser.tab()
    answer = await tab.get("/slow")
    assert answer.set_cookies == []
    assert await data(tab) == {}
    assert "slow" not in await data(browser)


@pytest.mark.parametrize("path", ["/", "/ping"])
async def test_a_request_with_the_old_id_leaves_the_cookie_of_a_sign_in_alone(
    store: CountingStore, clock: FakeClock, path: str
) -> None:
    async def slow(request: Request) -> Any:
        await browser.get("/sign-in")
        return dict(request.state.session)

    browser = await begun(store, clock, {**HANDLERS, "/slow": slow})
    old = await renewed(browser)
    answer = await old.get("/slow")
    assert (answer.json(), answer.set_cookies) == ({"start": "0"}, [])


async def test_twenty_parallel_requests_around_one_renewal(
    store: CountingStore, clock: FakeClock, advance: Advance
) -> None:
    """None is signed out, all changes are there, and each that isn't too early is given the same new cookie."""
    events: list[SessionEvent] = []
    browser = await begun(store, clock, renew_after=HOUR, on_event=events.append)
    before = id_of(browser)
    await advance(HOUR)
    tabs = [browser.tab() for _ in range(20)]
    answers: list[Answer] = []

    async def visit(number: int) -> None:
        answers.append(await tabs[number].get(f"/put?key{number}={number}"))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(visit, number)
    assert {answer.status for answer in answers} == {200}
    assert [event.kind for event in events].count(EventKind.RENEWED) == 1
    assert EventKind.WRITE_DROPPED not in {event.kind for event in events}
    assert len({id_of(tab) for tab in tabs} - {before}) == 1
    assert id_of(tabs[0]) != before
    assert await data(tabs[0]) == {"start": "0", **{f"key{n}": str(n) for n in range(20)}}


async def in_every_order(
    store: SessionStore,
    clock: FakeClock,
    paths: list[str],
    check: Check,
    *,
    before: Callable[[], Awaitable[None]] | None = None,
    **options: Any,
) -> int:
    """Make the requests with the same cookie, their store calls in every order, and `check` each time."""

    async def scenario(scheduler: Scheduler) -> None:
        browser = await begun(GatedStore(store, scheduler.pass_through), clock, **options)
        if before is not None:
            await before()
        tabs = [browser.tab() for _ in paths]
        answers: dict[int, Answer] = {}

        def visit(number: int) -> Callable[[], Awaitable[None]]:
            async def go() -> None:
                answers[number] = await tabs[number].get(paths[number])

            return go

        await scheduler.run([visit(number) for number in range(len(paths))])
        await check([browser, *tabs], [answers[number] for number in range(len(paths))])

    return await every_order(scenario)


async def test_I5_of_two_renewals_one_wins_in_every_order(store: CountingStore, clock: FakeClock) -> None:
    events: list[SessionEvent] = []

    async def check(browsers: list[Browser], answers: list[Answer]) -> None:
        _, *tabs = browsers
        assert await data(tabs[0]) in ({"start": "0", "a": "1", "b": "2"}, {}), "none, if renewed twice in a row"
        seen = [await data(browser) for browser in browsers]
        assert {"start": "0", "a": "1", "b": "2"} in seen
        overlapped = id_of(tabs[0]) == id_of(tabs[1])
        assert [event.kind for event in events].count(EventKind.RENEWED) == (1 if overlapped else 2)
        assert EventKind.WRITE_DROPPED not in {event.kind for event in events}
        events.clear()
        if isinstance(store.store, MemoryStore):
            sessions = [row for row in store.store._rows.values() if row.data.startswith(b"s2")]
            assert len(sessions) == 1, "who loses takes back the row that it made"
            store.store._rows.clear()

    assert await in_every_order(store, clock, ["/renew?a=1", "/renew?b=2"], check, on_event=events.append) > 10


async def test_I5_a_renewal_of_a_planted_id_gives_nothing_of_a_sign_in_in_every_order(
    store: CountingStore, clock: FakeClock
) -> None:
    """The attacker has planted the id, and renews it to keep the session."""

    async def check(browsers: list[Browser], answers: list[Answer]) -> None:
        planted, attacker, victim = browsers
        assert "user" not in await data(planted)
        assert "user" not in await data(attacker)
        assert (await data(victim))["user"] == "ann"

    assert await in_every_order(store, clock, ["/renew", "/sign-in"], check) > 10


@pytest.mark.parametrize("path", ["/put?a=1", "/renew?a=1", "/ping"])
async def test_K4_a_logout_is_final_for_a_renewed_session_in_every_order(
    store: CountingStore, clock: FakeClock, advance: Advance, path: str
) -> None:
    """Each of the two renews the session, as its time has come."""

    async def check(browsers: list[Browser], answers: list[Answer]) -> None:
        browser, tab, leaving = browsers
        assert leaving.cookies == {}
        for one in (browser, tab):
            assert "start" not in await data(one), "a request that came after the logout may have begun another"

    await in_every_order(store, clock, [path, "/logout"], check, before=partial(advance, HOUR), renew_after=HOUR)


async def test_K2_a_renewal_loses_no_change_in_any_order(store: CountingStore, clock: FakeClock) -> None:
    async def check(browsers: list[Browser], answers: list[Answer]) -> None:
        assert await data(browsers[2]) == {"start": "0", "a": "1"}

    assert await in_every_order(store, clock, ["/put?a=1", "/renew"], check) > 5


@pytest.mark.parametrize("path", ["/renew", "/sign-in"])
async def test_K5_no_touch_hands_out_the_old_id_again(
    store: CountingStore, clock: FakeClock, advance: Advance, path: str
) -> None:
    """Its cookie would be the last that the browser gets, and be worthless soon."""

    async def slow(request: Request) -> Any:
        await browser.get(path)

    browser = await begun(store, clock, {**HANDLERS, "/slow": slow}, max_age=10 * HOUR)
    await advance(2 * HOUR)
    tab = browser.tab()
    answer = await tab.get("/slow")
    if path == "/renew":
        assert id_of(tab) == id_of(browser)
    else:
        assert answer.set_cookies == []


@pytest.mark.parametrize("what", ["the store is away", "the row is damaged"])
async def test_a_reader_whose_cookie_cant_be_handed_out_is_served(
    store: CountingStore, clock: FakeClock, what: str
) -> None:
    async def slow(request: Request) -> Any:
        if what == "the store is away":
            down.down = True
        else:
            key = key_of(id_of(browser))
            row = await store.store.load(key)
            assert row is not None
            await store.store.replace(key, b"damaged", row.expires_at, row.version)
        return dict(request.state.session)

    down = DownStore(store)
    browser = await begun(down, clock, {**HANDLERS, "/slow": slow})
    old = await renewed(browser)
    answer = await old.get("/slow")
    assert (answer.status, answer.json(), answer.set_cookies) == (200, {"start": "0"}, [])


# Renewal by age


async def test_renew_after_renews_with_the_next_use_and_keeps_the_age(
    store: CountingStore, clock: FakeClock, advance: Advance
) -> None:
    browser = await begun(store, clock, renew_after=HOUR, max_age=10 * HOUR, absolute_timeout=2 * HOUR + 10)
    first = id_of(browser)
    await advance(HOUR - 1)
    await browser.get("/ping")
    assert id_of(browser) == first
    await advance(1)
    old = browser.tab()
    await browser.get("/ping")
    second = id_of(browser)
    assert second != first
    await old.get("/ping")
    assert id_of(old) == second, "and not another one"
    await advance(HOUR)
    await browser.get("/ping")
    assert id_of(browser) not in (first, second)
    await advance(10)
    assert await data(browser) == {}, "a new id doesn't move the absolute deadline"


async def test_a_renewal_that_only_age_asked_for_may_fail(store: CountingStore, clock: FakeClock) -> None:
    class ReadOnly(WrappedStore):
        down = False

        async def before(self, call: str) -> None:
            if self.down and call != "load":
                raise StoreUnavailable("read-only")

    read_only = ReadOnly(store)
    browser = await begun(read_only, clock, renew_after=HOUR)
    clock.advance(HOUR)
    read_only.down = True
    before = id_of(browser)
    answer = await browser.get("/")
    assert (answer.status, answer.json(), id_of(browser)) == (200, {"start": "0"}, before)
    assert (await browser.get("/put?a=1")).status == 503
    read_only.down = False
    await browser.get("/")
    assert id_of(browser) != before


# Failures


class FailingStore(WrappedStore):
    """Raises at the call number `at` from when it is set: before the store carries it out, or after."""

    at: int | None = None
    after = False

    async def before(self, call: str) -> None:
        if not self.after:
            self._count()

    async def create(self, *args: Any) -> bool:
        return self._counted(await super().create(*args))

    async def replace(self, *args: Any) -> bool:
        return self._counted(await super().replace(*args))

    async def load(self, key: str) -> Any:
        found = await super().load(key)
        self._counted(True)
        return found

    def _counted(self, done: bool) -> bool:
        if self.after:
            self._count()
        return done

    def _count(self) -> None:
        if self.at is not None:
            self.at -= 1
            if self.at < 0:
                self.at = None
                raise StoreUnavailable("the store is down")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_I5_a_store_that_fails_at_any_step_of_a_renewal_leaves_the_session(
    store: CountingStore, clock: FakeClock, at: int, after: bool
) -> None:
    failing = FailingStore(store)
    browser = await begun(failing, clock)
    store.calls.clear()
    failing.at, failing.after = at, after
    answer = await browser.get("/renew?a=1")
    assert (answer.status, answer.set_cookies) == (503, [])
    assert store.calls == ["load", "create", "replace"][: at + after]
    swapped = (at, after) == (2, True)
    assert await data(browser) == ({"start": "0", "a": "1"} if swapped else {"start": "0"})
    await browser.get("/renew?a=2")
    assert await data(browser) == {"start": "0", "a": "2"}
