"""How a session ends: destroyed, cleared, emptied. And what a handler may do after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import EventKind, MemoryStore, SessionGone
from starlette_sessions_ext._core.repository import LATE_FOR
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Answer, Browser, Handler, make_app
from ..support.handlers import clear, logout, put, rotate, view
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio


async def destroy_and_refill(request: Request) -> Any:
    request.state.session.destroy()
    request.session["name"] = "bob"


async def clear_and_refill(request: Request) -> Any:
    request.session.clear()
    request.session["name"] = "bob"


HANDLERS: dict[str, Handler] = {
    "/": view,
    "/put": put,
    "/destroy": logout,
    "/clear": clear,
    "/destroy-and-refill": destroy_and_refill,
    "/clear-and-refill": clear_and_refill,
    "/rotate": rotate,
}


@pytest.fixture
def store(clock: FakeClock) -> CountingStore:
    return CountingStore(MemoryStore(clock=clock))


@pytest.fixture
async def browser(store: CountingStore) -> Browser:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?name=ann")
    store.calls.clear()
    return browser


def assert_cleared(answer: Answer) -> None:
    [line] = answer.set_cookies
    assert line.startswith("session=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax")
    assert answer.all("cache-control") == ["no-store"]
    assert answer.all("vary") == ["Cookie"]


@pytest.mark.parametrize("path", ["/destroy", "/clear"])
async def test_a_logout_deletes_the_row_and_clears_the_cookie(
    store: CountingStore, browser: Browser, path: str
) -> None:
    other_tab = browser.tab()
    assert_cleared(await browser.get(path))
    assert store.calls == ["load", "delete"]
    assert (await other_tab.get("/")).json() == {}


@pytest.mark.parametrize("path", ["/destroy", "/clear"])
async def test_a_logout_of_nobody_asks_and_sends_nothing(store: CountingStore, path: str) -> None:
    answer = await Browser(make_app(store, HANDLERS)).get(path)
    assert (store.calls, answer.set_cookies) == ([], [])


@pytest.mark.parametrize("path", ["/destroy-and-refill", "/clear-and-refill"])
async def test_what_is_put_in_after_an_end_starts_a_new_session(
    store: CountingStore, browser: Browser, path: str
) -> None:
    other_tab = browser.tab()
    await browser.get(path)
    assert store.calls == ["load", "replace", "create"]
    assert browser.cookies != other_tab.cookies
    assert (await browser.get("/")).json() == {"name": "bob"}
    assert (await other_tab.get("/")).json() == {}


async def test_a_new_session_may_get_a_lifetime_of_its_own_with_the_end_of_another(
    store: CountingStore, browser: Browser
) -> None:
    async def change_user(request: Request) -> Any:
        request.state.session.set_lifetime(30)
        request.state.session.destroy()
        request.session["name"] = "bob"
        request.state.session.set_lifetime(60)

    answer = await Browser(make_app(store, {"/": change_user}), cookies=browser.cookies).get("/")
    [line] = answer.set_cookies
    assert "; Max-Age=60; " in line


async def test_rotate_of_an_empty_session_makes_none(store: CountingStore) -> None:
    answer = await Browser(make_app(store, HANDLERS)).get("/rotate")
    assert (store.calls, answer.set_cookies) == ([], [])


async def interrupted(
    store: CountingStore, browser: Browser, change: Callable[[Request], Any], other_path: str
) -> Answer:
    """`change` the session in a request during which another tab asks for `other_path`."""
    other_tab = browser.tab()

    async def slow(request: Request) -> Any:
        change(request)
        await other_tab.get(other_path)

    handlers: dict[str, Callable[[Request], Awaitable[Any]]] = {**HANDLERS, "/slow": slow}
    return await Browser(make_app(store, handlers), cookies=browser.cookies).get("/slow")


async def test_nothing_that_a_parallel_request_writes_survives_a_clear(store: CountingStore) -> None:
    """A slower request of the user who signed out changes something inside `user`."""

    async def begin(request: Request) -> Any:
        request.session["user"] = {"name": "ann", "seen": 0}

    async def sign_out(request: Request) -> Any:
        request.session.clear()
        request.session["flash"] = "signed out"

    async def slow(request: Request) -> Any:
        request.session["user"]["seen"] = 1
        request.session["role"] = "admin"
        await fast.get(request.query_params["then"])

    async def change_user(request: Request) -> Any:
        request.session.clear()
        request.session["user"] = "bob"
        request.state.session.rotate()

    handlers = {**HANDLERS, "/begin": begin, "/sign-out": sign_out, "/slow": slow, "/change-user": change_user}
    for then, left in (("/sign-out", {"flash": "signed out"}), ("/change-user", {"user": "bob"})):
        slower = Browser(make_app(store, handlers))
        await slower.get("/begin")
        fast = slower.tab()
        await slower.get(f"/slow?then={then}")
        assert (await fast.get("/")).json() == left
        assert (await slower.get("/")).json() == {}


async def test_nothing_that_a_parallel_request_wrote_before_survives_a_clear(
    store: CountingStore, browser: Browser
) -> None:
    def refill(request: Request) -> None:
        request.session.clear()
        request.session["user"] = "bob"

    other_tab = browser.tab()
    answer = await interrupted(store, browser, refill, "/put?role=admin")
    browser.cookies["session"] = answer.set_cookies[0].partition(";")[0].partition("=")[2]
    assert (await browser.get("/")).json() == {"user": "bob"}
    assert (await other_tab.get("/")).json() == {}


async def test_a_session_that_another_request_ended_can_begin_anew(store: CountingStore, browser: Browser) -> None:
    async def retry(request: Request) -> Any:
        await other_tab.get("/destroy")
        request.session["late"] = 1
        with pytest.raises(SessionGone):
            await request.state.session.save()
        request.session.clear()
        request.session["name"] = "bob"

    other_tab = browser.tab()
    browser = Browser(make_app(store, {**HANDLERS, "/retry": retry}), cookies=browser.cookies)
    await browser.get("/retry")
    assert (await browser.get("/")).json() == {"name": "bob"}


# An id that was replaced a moment ago


async def test_a_request_with_a_replaced_id_doesnt_replace_the_new_cookie(
    clock: FakeClock, store: CountingStore, browser: Browser
) -> None:
    """It was sent before the response with the new cookie arrived."""
    events: list[EventKind] = []
    late = browser.tab()
    late.app = make_app(store, HANDLERS, clock=clock, on_event=lambda event: events.append(event.kind))
    await browser.get("/rotate")
    for path in ("/", "/put?visits=1"):
        answer = await late.get(path)
        assert (answer.status, answer.set_cookies) == (200, [])
    assert events == [EventKind.WRITE_DROPPED]
    clock.advance(LATE_FOR)
    assert len((await late.get("/put?visits=1")).set_cookies) == 1
    assert (await late.get("/")).json() == {"visits": "1"}


async def test_a_sign_in_with_a_replaced_id_begins_a_session(store: CountingStore, browser: Browser) -> None:
    async def sign_in(request: Request) -> Any:
        request.session["name"] = "bob"
        request.state.session.rotate()

    late = Browser(make_app(store, {**HANDLERS, "/sign-in": sign_in}), cookies=dict(browser.cookies))
    await browser.get("/rotate")
    await late.get("/sign-in")
    assert (await late.get("/")).json() == {"name": "bob"}
    assert (await browser.get("/")).json() == {"name": "ann"}


async def test_an_id_renewed_twice_is_late_too(clock: FakeClock, store: CountingStore) -> None:
    async def renew(request: Request) -> Any:
        request.state.session.renew(grace=5)

    browser = Browser(make_app(store, {**HANDLERS, "/renew": renew}, clock=clock))
    await browser.get("/put?name=ann")
    late = browser.tab()
    await browser.get("/renew")
    await browser.get("/renew")
    assert (await late.get("/put?visits=1")).set_cookies == []
    clock.advance(5)  # its grace is over
    assert (await late.get("/put?visits=1")).set_cookies == []
    clock.advance(LATE_FOR)
    assert len((await late.get("/put?visits=1")).set_cookies) == 1


async def test_a_clock_that_was_set_back_reopens_no_alias(clock: FakeClock, store: CountingStore) -> None:
    async def renew(request: Request) -> Any:
        request.state.session.renew(grace=5)

    browser = Browser(make_app(store, {**HANDLERS, "/renew": renew}, clock=clock))
    await browser.get("/put?name=ann")
    old = browser.tab()
    await browser.get("/renew")
    clock.advance(100)
    assert (await old.get("/")).json() == {}
    clock.advance(-3600)
    assert (await old.get("/")).json() == {}


async def test_taking_out_the_last_key_ends_the_session(store: CountingStore, browser: Browser) -> None:
    async def take(request: Request) -> Any:
        return request.session.pop("name")

    answer = await Browser(make_app(store, {"/take": take}), cookies=browser.cookies).get("/take")
    assert_cleared(answer)
    assert store.calls == ["load", "delete"]


async def test_taking_out_the_last_key_loses_no_parallel_write(store: CountingStore, browser: Browser) -> None:
    answer = await interrupted(store, browser, lambda request: request.session.pop("name"), "/put?theirs=1")
    assert answer.set_cookies == []
    assert (await browser.get("/")).json() == {"theirs": "1"}


async def test_a_logout_stands_against_a_parallel_write(store: CountingStore, browser: Browser) -> None:
    answer = await interrupted(store, browser, lambda request: request.state.session.destroy(), "/put?theirs=1")
    assert_cleared(answer)
    assert (await browser.tab().get("/")).json() == {}


async def test_a_write_during_a_logout_is_dropped_and_leaves_the_cookie_alone(
    store: CountingStore, browser: Browser
) -> None:
    answer = await interrupted(store, browser, lambda request: request.session.update(late=1), "/destroy")
    assert (answer.status, answer.set_cookies) == (200, [])
    assert (await browser.get("/")).json() == {}


async def test_a_touch_of_a_session_that_has_ended_meanwhile_changes_nothing(
    store: CountingStore, clock: FakeClock
) -> None:
    async def slow(request: Request) -> Any:
        await other_tab.get("/destroy")

    browser = Browser(make_app(store, {**HANDLERS, "/slow": slow}, clock=clock, max_age=None, idle_timeout=1000))
    await browser.get("/put?name=ann")
    other_tab = browser.tab()
    clock.advance(500)
    store.calls.clear()
    answer = await browser.get("/slow")
    assert (answer.status, answer.set_cookies) == (200, [])
    assert store.calls == ["load", "load", "delete", "touch"]
    assert (await browser.get("/")).json() == {}


async def test_of_two_parallel_logouts_one_clears_the_cookie(store: CountingStore, browser: Browser) -> None:
    """The other one's delete cookie could meet a session that has begun since."""
    answer = await interrupted(store, browser, lambda request: request.state.session.destroy(), "/destroy")
    assert (answer.status, answer.set_cookies) == (200, [])


async def test_a_rotation_during_a_logout_brings_nothing_back(store: CountingStore, browser: Browser) -> None:
    answer = await interrupted(store, browser, lambda request: request.state.session.rotate(), "/destroy")
    assert (answer.status, answer.set_cookies) == (200, [])
    assert (await browser.get("/")).json() == {}
    assert isinstance(store.store, MemoryStore)
    assert store.store._rows == {}, "the row under the new id is taken back"
