"""A store that can't be reached: an honest 503, never a 2xx for what wasn't saved, and nobody is signed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from starlette_sessions_ext import (
    MemoryStore,
    SessionConflict,
    SessionMiddleware,
    SessionTooLarge,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Answer, Browser, make_app
from ..support.handlers import logout, rotate, untouched
from ..support.store_wrappers import WrappedStore

pytestmark = pytest.mark.anyio


class Faulty(WrappedStore):
    """Raises `error` at the calls named in `fails`."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.rows = store._rows
        self.fails: set[str] = set()
        self.error: StoreError = StoreUnavailable("the server is away")
        self.calls: list[str] = []

    async def before(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise self.error


async def view(request: Request) -> Any:
    return dict(request.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.session.update(request.query_params)


async def put_and_redirect(request: Request) -> Any:
    request.session["a"] = 1
    return RedirectResponse("/")


HANDLERS = {
    "/": view,
    "/untouched": untouched,
    "/put": put,
    "/redirect": put_and_redirect,
    "/rotate": rotate,
    "/logout": logout,
}


@pytest.fixture
def store(clock: FakeClock) -> Faulty:
    return Faulty(MemoryStore(clock=clock))


@pytest.fixture
async def browser(store: Faulty, clock: FakeClock) -> Browser:
    browser = Browser(make_app(store, HANDLERS, clock=clock, max_age=1000))
    await browser.get("/put?name=ann")
    store.calls.clear()
    return browser


def assert_refused(answer: Answer) -> None:
    assert answer.status == 503
    assert [int(seconds) > 0 for seconds in answer.all("retry-after")] == [True]
    assert answer.all("cache-control") == ["no-store"]
    assert answer.set_cookies == []
    assert b"try again" in answer.body


# Loading


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreTimeout("slow")])
@pytest.mark.parametrize("path", ["/", "/untouched", "/put?a=1"])
async def test_without_its_session_a_request_isnt_answered(
    store: Faulty, browser: Browser, error: StoreError, path: str
) -> None:
    store.fails, store.error = {"load"}, error
    cookies = dict(browser.cookies)
    assert_refused(await browser.get(path))
    assert store.calls == ["load"], "the handler didn't run, and nothing was tried twice"
    store.fails = set()
    assert browser.cookies == cookies
    assert (await browser.get("/")).json() == {"name": "ann"}


async def test_the_handler_doesnt_run_without_its_session(store: Faulty, browser: Browser) -> None:
    async def never(request: Request) -> Any:
        raise AssertionError("ran")

    store.fails = {"load"}
    assert_refused(await Browser(make_app(store, {"/": never}), cookies=browser.cookies).get("/"))


async def test_visitors_without_a_session_are_served_all_the_same(store: Faulty, browser: Browser) -> None:
    store.fails = {"load", "create", "replace", "touch", "delete"}
    assert (await Browser(browser.app).get("/")).status == 200


# Saving


@pytest.mark.parametrize(
    ("path", "fails"),
    [
        ("/put?a=1", "replace"),
        ("/redirect", "replace"),
        ("/rotate", "create"),
        ("/rotate", "replace"),
        ("/logout", "delete"),
    ],
)
async def test_what_wasnt_saved_isnt_answered_as_done(store: Faulty, browser: Browser, path: str, fails: str) -> None:
    store.fails = {fails}
    cookies = dict(browser.cookies)
    assert_refused(await browser.get(path))
    store.fails = set()
    assert browser.cookies == cookies
    assert (await browser.get("/")).json() == {"name": "ann"}


@pytest.mark.parametrize("path", ["/put?a=1", "/redirect"])
async def test_a_new_session_that_wasnt_saved_gets_no_cookie(store: Faulty, browser: Browser, path: str) -> None:
    store.fails = {"create"}
    visitor = Browser(browser.app)
    assert_refused(await visitor.get(path))
    assert visitor.cookies == {}


@pytest.mark.parametrize("call", ["touch", "replace"])
async def test_a_failed_touch_costs_the_reader_nothing(store: Faulty, clock: FakeClock, call: str) -> None:
    """A row is touched; if a cookie goes out with it, it is compared and swapped."""
    max_age = None if call == "touch" else 1000
    browser = Browser(make_app(store, HANDLERS, clock=clock, max_age=max_age, idle_timeout=1000))
    await browser.get("/put?name=ann")
    store.calls.clear()
    store.fails = {call}
    clock.advance(500)
    answer = await browser.get("/")
    assert (answer.status, answer.json(), answer.set_cookies) == (200, {"name": "ann"}, [])
    assert store.calls == ["load", call]


async def test_a_session_that_is_too_large_is_an_error_of_the_application(store: Faulty, browser: Browser) -> None:
    store.fails, store.error = {"replace"}, SessionTooLarge("2 MB")
    with pytest.raises(SessionTooLarge):
        await browser.get("/put?a=1")
    store.fails = set()
    assert (await browser.get("/")).json() == {"name": "ann"}


async def test_the_handlers_own_error_isnt_masked(store: Faulty, browser: Browser) -> None:
    async def fail(request: Request) -> Any:
        request.session["half"] = "done"
        raise ZeroDivisionError

    app = make_app(store, {"/fail": fail})
    store.fails = {"replace"}
    with pytest.raises(ZeroDivisionError):
        await Browser(app, cookies=browser.cookies).get("/fail")
    assert store.calls == ["load"], "as with Starlette's sessions, an unhandled error saves nothing"


async def test_a_handlers_own_save_may_fail_and_be_dealt_with(store: Faulty, browser: Browser) -> None:
    async def fall_back(request: Request) -> Any:
        request.session["a"] = 1
        try:
            await request.state.session.save()
        except StoreUnavailable:
            del request.session["a"]
        return "not saved"

    store.fails = {"replace"}
    answer = await Browser(make_app(store, {"/": fall_back}), cookies=browser.cookies).get("/")
    assert (answer.status, answer.json()) == (200, "not saved")


async def test_a_rotation_tried_again_after_an_outage_leaves_no_old_id_behind(store: Faulty, browser: Browser) -> None:
    async def rotate_twice(request: Request) -> Any:
        request.state.session.rotate()
        store.fails = {"replace"}
        with pytest.raises(StoreUnavailable):
            await request.state.session.save()
        store.fails = set()

    old = browser.tab()
    app = make_app(store, {**HANDLERS, "/twice": rotate_twice})
    assert (await Browser(app, cookies=browser.cookies).get("/twice")).status == 200
    assert (await old.get("/")).json() == {}
    assert (await browser.get("/")).json() == {"name": "ann"}


# Error pages


@pytest.mark.parametrize(
    ("kind", "registered"),
    [(StoreUnavailable, StoreUnavailable), (StoreTimeout, StoreError), (StoreTimeout, Exception)],
)
async def test_an_exception_handler_of_the_application_changes_no_503(
    store: Faulty, browser: Browser, kind: type[StoreError], registered: type[Exception]
) -> None:
    """Starlette doesn't run it for an error after the response has started: it sees ours as one of those."""

    async def page(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse("page", 500)

    store.fails, store.error = {"replace"}, kind("away")
    app = make_app(store, HANDLERS)
    app.add_exception_handler(registered, page)
    assert_refused(await Browser(app, cookies=browser.cookies).get("/put?a=1"))


async def test_a_conflict_reaches_the_server_as_what_it_is_whatever_handlers_there_are(clock: FakeClock) -> None:
    async def page(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse("page", 409)

    async def slow(request: Request) -> Any:
        request.session["name"] = "mine"
        await other_tab.get("/put?name=theirs")

    app = make_app(MemoryStore(clock=clock), {**HANDLERS, "/slow": slow}, on_conflict="raise")
    app.add_exception_handler(SessionConflict, page)
    browser = Browser(app)
    await browser.get("/put?name=ann")
    other_tab = browser.tab()
    with pytest.raises(SessionConflict, match="'name'"):
        await browser.get("/slow")
    assert (await browser.get("/")).json() == {"name": "theirs"}


def with_error_pages(app: ASGIApp, seen: list[str], before_page: Callable[[], None] = lambda: None) -> ASGIApp:
    """An ASGI middleware that turns every exception into a page."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except StoreError as error:
            seen.append(type(error).__name__)
            before_page()
            await JSONResponse("page", 500)(scope, receive, send)

    return wrapped


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    scope["session"]["a"] = 1
    await JSONResponse("done")(scope, receive, send)


async def test_an_error_page_after_a_failed_save_goes_out_without_a_cookie(store: Faulty) -> None:
    seen: list[str] = []
    store.fails, store.error = {"create"}, SessionTooLarge("2 MB")
    browser = Browser(SessionMiddleware(with_error_pages(answering, seen), SECRET, store=store))
    answer = await browser.get("/")
    assert (answer.status, answer.json(), answer.set_cookies) == (500, "page", [])
    assert seen == ["SessionTooLarge"]
    assert store.calls == ["create"], "the page is the answer: nothing is saved after it has said otherwise"


async def test_a_session_isnt_made_after_the_page_that_says_it_wasnt(store: Faulty) -> None:
    app = with_error_pages(answering, [], before_page=store.fails.clear)
    store.fails.add("create")
    answer = await Browser(SessionMiddleware(app, SECRET, store=store)).get("/")
    assert (answer.status, answer.set_cookies) == (500, [])
    assert store.rows == {}, "its id is in nobody's cookie"


async def test_a_success_sent_after_a_failed_save_has_to_save_first(store: Faulty) -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await answering(scope, receive, send)
        except StoreError:
            await JSONResponse("done anyway")(scope, receive, send)

    store.fails = {"create"}
    assert_refused(await Browser(SessionMiddleware(stubborn, SECRET, store=store)).get("/"))
