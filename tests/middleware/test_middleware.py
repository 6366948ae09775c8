"""What the middleware publishes, how often it asks the store, and how several of it live together."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware as StarlettesMiddleware
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from starlette_sessions_ext import (
    ConfigurationError,
    EventKind,
    JSONSerializer,
    MemoryStore,
    SessionEvent,
    SessionMiddleware,
    SQLiteStore,
)
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Browser, make_app
from ..support.handlers import untouched
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(clock: FakeClock) -> CountingStore:
    return CountingStore(MemoryStore(clock=clock))


async def view(request: Request) -> Any:
    return dict(request.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.session.update(request.query_params)
    return {}


async def append(request: Request) -> Any:
    request.session["cart"].append(1)
    return {}


async def fill_cart(request: Request) -> Any:
    request.session["cart"] = []
    return {}


HANDLERS = {"/untouched": untouched, "/": view, "/put": put, "/append": append, "/fill": fill_cart}


# What is published


async def test_the_session_has_three_names_and_is_one_object(store: CountingStore) -> None:
    async def same(request: Request) -> Any:
        return request.session is request.state.session is request.scope["session"]

    assert (await Browser(make_app(store, {"/": same})).get("/")).json() is True


def test_the_parameters_are_starlettes_in_starlettes_order() -> None:
    theirs = list(inspect.signature(StarlettesMiddleware).parameters.values())
    ours = list(inspect.signature(SessionMiddleware).parameters.values())
    if "partitioned" not in {p.name for p in theirs}:  # which Starlette has since 1.7
        ours = [p for p in ours if p.name != "partitioned"]
    assert [(p.name, p.kind) for p in ours[: len(theirs)]] == [(p.name, p.kind) for p in theirs]
    defaults = {p.name: (p.default, o.default) for p, o in zip(theirs, ours, strict=False) if p.default != o.default}
    assert defaults == {"https_only": (False, "auto")}
    assert {p.kind for p in ours[len(theirs) :]} == {inspect.Parameter.KEYWORD_ONLY}
    assert inspect.Parameter.empty not in {p.default for p in ours[len(theirs) :]}


async def test_another_state_attr_leaves_the_name_session_to_the_application(store: CountingStore) -> None:
    async def names(request: Request) -> Any:
        return [request.state.visitor is request.session, hasattr(request.state, "session")]

    assert (await Browser(make_app(store, {"/": names}, state_attr="visitor")).get("/")).json() == [True, False]


async def test_a_name_that_the_application_took_in_its_lifespan_state_is_a_loud_error(store: CountingStore) -> None:
    middleware = SessionMiddleware(Starlette(), SECRET, store=store)
    scope = {"type": "http", "headers": [], "state": {"session": "a database session"}}
    with pytest.raises(ConfigurationError, match=r"request\.state\.session is taken"):
        await middleware(scope, never_receive, never_send)
    assert scope["state"] == {"session": "a database session"}


async def test_other_scopes_pass_through_as_they_are(store: CountingStore) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope))
        assert (receive, send) == (never_receive, never_send)

    scope = {"type": "webtransport"}
    await SessionMiddleware(app, SECRET, store=store)(scope, never_receive, never_send)
    assert seen == [scope] == [{"type": "webtransport"}]
    assert store.calls == []


async def never_receive() -> Message:
    raise AssertionError("nothing was to be received")


async def never_send(message: Message) -> None:
    raise AssertionError(f"nothing was to be sent: {message}")


async def test_an_application_that_answers_nothing_saves_nothing(store: CountingStore) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["a"] = 1

    scope = {"type": "http", "headers": []}
    await SessionMiddleware(app, SECRET, store=store)(scope, never_receive, never_send)
    assert store.calls == []


# How often the store is asked


async def calls(store: CountingStore, browser: Browser, path: str) -> list[str]:
    store.calls.clear()
    assert (await browser.get(path)).status == 200
    return list(store.calls)


@pytest.mark.parametrize("cookie", [None, "unsigned", f"{'a' * 32}", f"{'a' * 32}.{'A' * 43}"])
@pytest.mark.parametrize("path", ["/", "/untouched"])
async def test_a_request_without_a_cookie_of_ours_asks_nothing(
    store: CountingStore, cookie: str | None, path: str
) -> None:
    browser = Browser(make_app(store, HANDLERS))
    if cookie is not None:
        browser.cookies["session"] = cookie
    assert await calls(store, browser, path) == []


async def test_a_session_costs_one_call_and_a_change_two(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    assert await calls(store, browser, "/put?name=ann") == ["create"]
    assert await calls(store, browser, "/") == ["load"]
    assert await calls(store, browser, "/untouched") == ["load"]
    assert await calls(store, browser, "/put?name=bob") == ["load", "replace"]


async def test_setting_a_key_to_the_value_it_had_is_no_change(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?name=ann")
    assert await calls(store, browser, "/put?name=ann") == ["load"]


async def test_a_nested_change_counts(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/fill")
    assert await calls(store, browser, "/append") == ["load", "replace"]
    assert (await browser.get("/")).json() == {"cart": [1]}


async def test_a_session_that_nobody_looked_at_makes_no_answer_vary(store: CountingStore) -> None:
    class Copying(JSONSerializer):
        """Reads the session to dump it: that isn't the handler's reading."""

        def dumps(self, data: Any) -> bytes:
            return super().dumps(dict(data.items()))

    browser = Browser(make_app(store, HANDLERS, serializer=Copying()))
    assert (await browser.get("/untouched")).all("vary") == []
    assert (await browser.get("/")).all("vary") == ["Cookie"]


# Several middlewares


async def test_a_mounted_application_may_have_a_session_of_its_own(store: CountingStore) -> None:
    async def both(request: Request) -> Any:
        request.state.session["seen"] = "by the mounted one"
        request.state.inner["inner"] = request.query_params["v"]
        return [dict(request.state.session), dict(request.state.inner)]

    inner = make_app(store, {"/both": both}, session_cookie="inner", state_attr="inner")
    outer = make_app(store, {"/put": put, "/": view})
    outer.routes.append(Mount("/mounted", inner))
    browser = Browser(outer)
    await browser.get("/put?outer=1")
    answer = await browser.get("/mounted/both?v=1")
    assert answer.json() == [{"outer": "1", "seen": "by the mounted one"}, {"inner": "1"}]
    assert [line.partition("=")[0] for line in answer.set_cookies] == ["inner"]
    assert (await browser.get("/mounted/both?v=2")).json()[1] == {"inner": "2"}
    assert (await browser.get("/")).json() == {"outer": "1", "seen": "by the mounted one"}


async def test_two_sessions_under_one_name_dont_mix(store: CountingStore) -> None:
    inner = make_app(store, {"/put": put, "/": view}, session_cookie="inner")
    outer = make_app(store, {"/put": put, "/": view})
    outer.routes.append(Mount("/mounted", inner))
    browser = Browser(outer)
    await browser.get("/put?outer=1")
    await browser.get("/mounted/put?inner=1")
    assert set(browser.cookies) == {"session", "inner"}
    assert (await browser.get("/mounted/")).json() == {"inner": "1"}
    assert (await browser.get("/")).json() == {"outer": "1"}


# Events and settings


async def test_on_event_hears_of_what_happens(store: CountingStore) -> None:
    async def rotate(request: Request) -> Any:
        request.state.session.rotate()

    async def logout(request: Request) -> Any:
        request.state.session.destroy()

    events: list[SessionEvent] = []
    app = make_app(store, {"/put": put, "/rotate": rotate, "/logout": logout}, on_event=events.append)
    browser = Browser(app)
    for path in ("/put?name=ann", "/put?name=bob", "/rotate", "/logout"):
        await browser.get(path)
    assert [event.kind for event in events] == [EventKind.CREATED, EventKind.ROTATED, EventKind.DESTROYED]
    created, rotated, destroyed = (event.key_digest for event in events)
    assert rotated == destroyed != created


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "sqlite:///sessions.db"}, "store must be"),
        ({"store": SQLiteStore}, "store must be"),
        ({"store": object()}, "store must be"),
        ({"on_conflict": "last"}, "on_conflict"),
        ({"on_store_error": "ignore"}, "on_store_error"),
        ({"renew_after": 10}, "renew_after"),
        ({"state_attr": "the session"}, "state_attr"),
        ({"state_attr": ""}, "state_attr"),
        ({"max_age": 60, "idle_timeout": 61}, "idle_timeout is longer"),
        ({"idle_timeout": 0}, "idle_timeout"),
        ({"absolute_timeout": -1}, "absolute_timeout"),
        ({"idle_timeout": 60, "touch_interval": 60}, "touch_interval"),
        ({"max_age": 60, "touch_interval": 60}, "touch_interval"),
        ({"max_age": "60"}, "max_age"),
        ({"idle_timeout": 61, "absolute_timeout": 60}, "longer than absolute_timeout"),
        ({"state_attr": 5}, "state_attr"),
        ({"clock": 5}, "clock must be a plain function"),
        ({"clock": None}, "clock must be a plain function"),
        ({"save_if": 5}, "save_if must be a plain function"),
        ({"save_if": asyncio.sleep}, "save_if must be a plain function, which isn't async"),
        ({"on_event": 5}, "on_event must be a plain function"),
        ({"on_event": asyncio.sleep}, "on_event must be a plain function, which isn't async"),
        ({"unavailable_handler": 5}, "unavailable_handler must be a function"),
        ({"secret_key": ""}, "secret_key"),
        ({"secret_key": []}, "secret_key"),
    ],
)
def test_settings_that_cant_work_are_refused_at_construction(options: dict[str, Any], message: str) -> None:
    settings = {"secret_key": SECRET, "store": MemoryStore(), **options}
    with pytest.raises(ConfigurationError, match=message):
        SessionMiddleware(Starlette(), **settings)
    with pytest.raises(ValueError, match=message):  # for those who don't know our exceptions
        SessionMiddleware(Starlette(), **settings)


def test_a_max_age_that_ends_every_session_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    SessionMiddleware(Starlette(), SECRET, store=MemoryStore(), max_age=0)
    assert "max_age=0 ends every session at once" in caplog.text


def test_the_store_in_memory_is_the_default_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    middleware = SessionMiddleware(Starlette(), SECRET)
    assert isinstance(middleware.store, MemoryStore)
    assert "memory" in caplog.text
