"""The session in the ASGI scope: whose it is, who sees it, and what other middlewares do there."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarletteMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from starlette_sessions_ext import (
    ConfigurationError,
    MemoryStore,
    SessionEvent,
    SessionMiddleware,
    StoreUnavailable,
)
from starlette_sessions_ext._http.request_state import RequestState
from starlette_sessions_ext.session import Session
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Browser, make_app
from ..support.handlers import put, view
from ..support.store_wrappers import CountingStore, DownStore

pytestmark = pytest.mark.anyio


class WithState:
    """A server, or an outer middleware: gives each request `state`, and looks at it when the request is over."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self.app = app
        self.state = state
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = self.state
        self.scopes.append(scope)
        await self.app(scope, receive, send)


# The state


async def test_two_requests_that_share_a_state_have_their_own_sessions(clock: FakeClock) -> None:
    """Some servers hand one dict to all requests of an HTTP/2 connection."""
    arrived, released = anyio.Event(), anyio.Event()

    async def slow(request: Request) -> Any:
        arrived.set()
        await released.wait()
        return dict(request.state.session)

    app = make_app(MemoryStore(clock=clock), {"/put": put, "/": view, "/slow": slow}, exclude=["/skipped"])
    server = WithState(app, {"pool": "from the lifespan"})
    ann, bob = Browser(server), Browser(server)
    await ann.get("/put?name=ann")
    await bob.get("/put?name=bob")
    answers: list[Any] = []

    async def ask_slowly() -> None:
        answers.append((await ann.get("/slow")).json())

    async with anyio.create_task_group() as group:
        group.start_soon(ask_slowly)
        await arrived.wait()
        answers.append((await bob.get("/")).json())
        released.set()
    assert answers == [{"name": "bob"}, {"name": "ann"}]
    assert server.state == {"pool": "from the lifespan"}


async def test_a_skipped_path_sees_no_session_of_another_request(clock: FakeClock) -> None:
    async def skipped(request: Request) -> Any:
        return hasattr(request.state, "session")

    app = make_app(MemoryStore(clock=clock), {"/put": put, "/skipped": skipped}, exclude=["/skipped"])
    browser = Browser(WithState(app, {}))
    await browser.get("/put?name=ann")
    assert (await browser.get("/skipped")).json() is False


async def test_what_the_application_sets_in_the_state_is_seen_outside(clock: FakeClock) -> None:
    async def mark(request: Request) -> Any:
        request.state.user_id = 42
        return [request.state.pool, request.state.session == {}, "pool" in request.state._state]

    server = WithState(make_app(MemoryStore(clock=clock), {"/": mark}), {"pool": "from the lifespan"})
    assert (await Browser(server).get("/")).json() == ["from the lifespan", True, True]
    assert server.state == {"pool": "from the lifespan", "user_id": 42}
    assert server.scopes[0]["state"] is server.state


async def test_the_state_is_a_mapping_with_the_session_in_front() -> None:
    session, outer = Session(), {"a": 1, "session": "hidden"}
    state = RequestState(outer, "session", session)
    assert (dict(state), len(state), "session" in state) == ({"session": session, "a": 1}, 2, True)
    assert session.accessed
    del state["a"]
    with pytest.raises(KeyError):
        del state["session"]
    state["session"] = "the application's own"
    assert state["session"] == "the application's own"
    assert outer == {"session": "hidden"}
    assert repr(state) == "RequestState(['session'])"
    assert state | {"b": 2} == {"session": "the application's own", "b": 2}
    assert {"b": 2, **state} == {"b": 2} | state


# Vary


async def vary_of(handler: Any, store: CountingStore) -> list[str]:
    return (await Browser(make_app(store, {"/": handler})).get("/")).all("vary")


@pytest.fixture
def store(clock: FakeClock) -> CountingStore:
    return CountingStore(MemoryStore(clock=clock))


async def test_a_streamed_body_may_read_the_session_so_it_varies(store: CountingStore) -> None:
    async def stream(request: Request) -> Response:
        async def body() -> Any:
            yield str(len(request.state.session))

        return StreamingResponse(body())

    assert await vary_of(stream, store) == ["Cookie"]


async def test_a_session_that_c_code_reads_makes_the_response_vary(store: CountingStore) -> None:
    async def read(request: Request) -> Any:
        return {}.__class__.__len__(request.state.session)  # as orjson does, past every method of the session

    assert await vary_of(read, store) == ["Cookie"]


@pytest.mark.parametrize("status", [204, 304])
async def test_without_a_body_there_is_nothing_to_vary(store: CountingStore, status: int) -> None:
    async def respond(request: Request) -> Response:
        response = Response(status_code=status)
        response.raw_headers.clear()
        return response

    assert await vary_of(respond, store) == []


# Caches of CDNs


@pytest.mark.parametrize("header", ["CDN-Cache-Control", "Surrogate-Control", "Cloudflare-CDN-Cache-Control"])
async def test_no_cdn_is_told_to_keep_a_response_with_our_cookie(store: CountingStore, header: str) -> None:
    async def respond(request: Request) -> Response:
        if "put" in request.query_params:
            request.state.session["a"] = 1
        return JSONResponse(None, headers={header: "max-age=600", "Cache-Control": "private"})

    browser = Browser(make_app(store, {"/": respond}))
    answer = await browser.get("/?put")
    assert (answer.all(header.lower()), answer.all("cache-control")) == ([], ["private"])
    assert (await browser.get("/")).all(header.lower()) == ["max-age=600"]


# Callbacks of the application


async def test_an_on_event_that_raises_costs_nobody_a_cookie(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def logout(request: Request) -> Any:
        request.state.session.destroy()

    def fail(event: SessionEvent) -> None:
        raise RuntimeError("the metrics are away")

    browser = Browser(make_app(store, {"/put": put, "/logout": logout}, on_event=fail))
    assert (await browser.get("/put?name=ann")).status == 200
    assert "session" in browser.cookies
    assert (await browser.get("/logout")).status == 200
    assert browser.cookies == {}
    assert caplog.text.count("on_event raised") == 2


async def test_a_save_if_that_raises_saves(store: CountingStore, caplog: pytest.LogCaptureFixture) -> None:
    browser = Browser(make_app(store, {"/put": put, "/": view}, save_if=lambda status: bool(1 / 0)))
    await browser.get("/put?name=ann")
    assert (await browser.get("/")).json() == {"name": "ann"}
    assert "save_if raised" in caplog.text


# The application's own 503


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("call", ["load", "create"])
async def test_an_application_may_answer_for_a_store_that_is_away(clock: FakeClock, call: str, is_async: bool) -> None:
    def respond(connection: HTTPConnection, error: StoreUnavailable) -> Response:
        return PlainTextResponse(f"away: {connection.url.path}", 503)

    async def respond_later(connection: HTTPConnection, error: StoreUnavailable) -> Response:
        return respond(connection, error)

    store = DownStore(MemoryStore(clock=clock))
    handler = respond_later if is_async else respond
    browser = Browser(make_app(store, {"/put": put}, unavailable_handler=handler))
    if call == "load":
        await browser.get("/put?name=ann")
    store.down = True
    answer = await browser.get("/put?name=bob")
    assert (answer.status, answer.body, answer.set_cookies) == (503, b"away: /put", [])


async def test_an_unavailable_handler_that_raises_leaves_the_plain_503(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(connection: HTTPConnection, error: StoreUnavailable) -> Response:
        raise RuntimeError("no template")

    store = DownStore(MemoryStore(clock=clock))
    store.down = True
    answer = await Browser(make_app(store, {"/put": put}, unavailable_handler=fail)).get("/put?name=bob")
    assert (answer.status, b"try again" in answer.body) == (503, True)
    assert "unavailable_handler raised" in caplog.text


# Other session middlewares


async def test_starlettes_middleware_inside_is_warned_of(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def put_in_both(request: Request) -> Response:
        request.session["user"] = "ann"
        return JSONResponse(None)

    app = Starlette(
        routes=[Route("/", put_in_both)],
        middleware=[
            Middleware(SessionMiddleware, SECRET, store=store),
            Middleware(StarletteMiddleware, SECRET),
        ],
    )
    for _ in range(2):
        await Browser(app).get("/")
    messages = [record.message for record in caplog.records if "session_cookie" in record.message]
    assert len(messages) == 1
    assert "keep one of them" in messages[0]


async def test_starlettes_middleware_inside_under_another_name_is_warned_of(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Its cookie is another one, but `request.session` is its session."""
    app = Starlette(
        routes=[Route("/", lambda request: JSONResponse(None))],
        middleware=[
            Middleware(SessionMiddleware, SECRET, store=store),
            Middleware(StarletteMiddleware, SECRET, session_cookie="inner"),
        ],
    )
    for _ in range(2):
        await Browser(app).get("/")
    assert caplog.text.count("another session middleware serves the same requests") == 1


async def test_starlettes_middleware_outside_is_warned_of(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(store, {"/": view})
    app.add_middleware(StarletteMiddleware, secret_key=SECRET)
    for _ in range(2):
        await Browser(app).get("/")
    assert caplog.text.count("another session middleware serves the same requests") == 1


async def test_two_of_ours_with_one_cookie_name_are_warned_of(
    store: CountingStore, caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    outer = make_app(store, {"/put": put})
    outer.routes.append(Mount("/mounted", make_app(MemoryStore(clock=clock), {"/put": put})))
    for _ in range(2):
        await Browser(outer).get("/mounted/put?a=1")
    assert caplog.text.count("a response sets a cookie named 'session'") == 1


async def test_two_of_ours_with_different_names_are_not(store: CountingStore, caplog: pytest.LogCaptureFixture) -> None:
    outer = make_app(store, {"/put": put, "/": view})
    outer.routes.append(Mount("/mounted", make_app(store, {"/put": put}, session_cookie="inner")))
    await Browser(outer, scheme="https").get("/mounted/put?a=1")
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


async def test_an_outer_session_is_back_when_an_inner_request_is_over(store: CountingStore) -> None:
    seen: list[Any] = []

    class Inner:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            before = scope["session"], scope["state"]
            await self.app(scope, receive, send)
            seen.append(scope["session"] is before[0] and scope["state"] is before[1])

    app = Starlette(
        routes=[Route("/put", lambda request: JSONResponse(None))],
        middleware=[
            Middleware(SessionMiddleware, SECRET, store=store),
            Middleware(Inner),
            Middleware(SessionMiddleware, SECRET, session_cookie="inner", store=store),
        ],
    )
    await Browser(app).get("/put")
    assert seen == [True]


# What Starlette's middleware has


def test_starlettes_attributes_can_be_read() -> None:
    options: dict[str, Any] = {"session_cookie": "s", "max_age": 60, "path": "/app", "domain": "example.com"}
    ours = SessionMiddleware(Starlette(), SECRET, store=MemoryStore(), https_only=True, **options)
    theirs = StarletteMiddleware(Starlette(), SECRET, https_only=True, **options)
    for name in ("session_cookie", "max_age", "path", "security_flags"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.signer.sign("a")


@pytest.mark.parametrize("name", ["signer", "session_cookie", "max_age", "path", "security_flags"])
def test_an_assignment_that_would_have_no_effect_says_what_to_do(name: str) -> None:
    middleware = SessionMiddleware(Starlette(), SECRET, store=MemoryStore())
    with pytest.raises(ConfigurationError, match=f"{name} can't be assigned: give .* constructor"):
        setattr(middleware, name, "other")
