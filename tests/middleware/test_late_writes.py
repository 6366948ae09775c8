"""What changes after the response has started: saved if its cookie is out already, a loud error if not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from starlette_sessions_ext import MemoryStore, NotSerializable, SessionNotSaved, StoreUnavailable
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, Handler, make_app
from ..support.handlers import put, view
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio


async def background(request: Request) -> Any:
    async def task() -> None:
        request.session["late"] = 1

    return JSONResponse({}, background=BackgroundTask(task))


async def streaming(request: Request) -> Any:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        request.session["late"] = 1
        yield b"last"

    return StreamingResponse(body())


async def background_logout(request: Request) -> Any:
    return JSONResponse({}, background=BackgroundTask(request.state.session.destroy))


async def background_rotation(request: Request) -> Any:
    return JSONResponse({}, background=BackgroundTask(request.state.session.rotate))


async def background_nonsense(request: Request) -> Any:
    return JSONResponse({}, background=BackgroundTask(request.session.update, when=object()))


HANDLERS: dict[str, Handler] = {
    "/": view,
    "/put": put,
    "/background": background,
    "/streaming": streaming,
    "/logout": background_logout,
    "/rotation": background_rotation,
    "/nonsense": background_nonsense,
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


@pytest.mark.parametrize("path", ["/background", "/streaming"])
async def test_a_late_change_of_a_session_is_saved(store: CountingStore, browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    assert (store.calls, answer.set_cookies) == (["load", "replace"], [])
    assert (await browser.get("/")).json() == {"name": "ann", "late": 1}


@pytest.mark.parametrize("path", ["/background", "/streaming"])
async def test_a_late_change_of_a_new_session_raises(store: CountingStore, path: str) -> None:
    """No cookie could be sent for it."""
    with pytest.raises(SessionNotSaved, match="response has started"):
        await Browser(make_app(store, HANDLERS)).get(path)
    assert store.calls == []


async def test_a_session_made_before_the_response_may_be_changed_late(store: CountingStore) -> None:
    async def early_and_late(request: Request) -> Any:
        request.session["early"] = 1
        return await background(request)

    browser = Browser(make_app(store, {**HANDLERS, "/both": early_and_late}))
    await browser.get("/both")
    assert (await browser.get("/")).json() == {"early": 1, "late": 1}


def put_list(session: dict[str, Any]) -> None:
    session["cart"] = []


async def set_cart(request: Request) -> Any:
    put_list(request.session)


async def put_cart_exactly(request: Request) -> Any:
    await request.state.session.atomic(put_list)


async def keep_cart(request: Request) -> Any:
    """It is there already."""


@pytest.mark.parametrize(
    ("before", "early"),
    [
        *[(before, early) for before in ("/", "/put?name=ann") for early in (set_cart, put_cart_exactly)],
        ("/cart", keep_cart),
    ],
)
async def test_a_list_may_be_changed_late_wherever_it_comes_from(
    store: CountingStore, before: str, early: Handler
) -> None:
    async def change_late(request: Request) -> Any:
        await early(request)
        return JSONResponse({}, background=BackgroundTask(request.session["cart"].append, "tea"))

    browser = Browser(make_app(store, {**HANDLERS, "/cart": set_cart, "/late": change_late}))
    await browser.get(before)
    await browser.get("/late")
    assert (await browser.get("/")).json()["cart"] == ["tea"]


async def test_a_late_logout_deletes_the_row(store: CountingStore, browser: Browser) -> None:
    answer = await browser.get("/logout")
    assert (store.calls, answer.set_cookies) == (["load", "delete"], [])
    assert (await browser.get("/")).json() == {}


async def test_a_late_rotation_raises_and_changes_nothing(store: CountingStore, browser: Browser) -> None:
    with pytest.raises(SessionNotSaved):
        await browser.get("/rotation")
    assert store.calls == ["load"]
    assert (await browser.get("/")).json() == {"name": "ann"}


async def test_a_late_change_that_cant_be_stored_raises(store: CountingStore, browser: Browser) -> None:
    with pytest.raises(NotSerializable, match="'when'"):
        await browser.get("/nonsense")
    assert (await browser.get("/")).json() == {"name": "ann"}


async def test_a_late_save_that_fails_raises(browser: Browser) -> None:
    class ReadOnly(MemoryStore):
        async def replace(self, *args: Any) -> bool:
            raise StoreUnavailable("away")

    app = make_app(ReadOnly(), HANDLERS)
    browser = Browser(app)
    await browser.get("/put?name=ann")
    with pytest.raises(StoreUnavailable):
        await browser.get("/background")


async def test_a_late_write_of_an_ended_session_is_dropped(store: CountingStore, browser: Browser) -> None:
    other_tab = browser.tab()

    async def during_logout(request: Request) -> Any:
        async def task() -> None:
            await other_tab.get("/logout")
            request.session["late"] = 1

        return JSONResponse({}, background=BackgroundTask(task))

    app = make_app(store, {**HANDLERS, "/late": during_logout})
    assert (await Browser(app, cookies=browser.cookies).get("/late")).status == 200
    assert (await browser.get("/")).json() == {}


async def test_a_middleware_inside_may_change_the_session_after_the_handler(store: CountingStore) -> None:
    """Its `call_next` has the response, but nothing has been sent yet."""

    async def sign(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        request.session["signed"] = 1
        return response

    app = make_app(store, HANDLERS)
    app.user_middleware.append(Middleware(BaseHTTPMiddleware, dispatch=sign))
    browser = Browser(app)
    await browser.get("/put?name=ann")
    assert store.calls == ["create"]
    assert (await browser.get("/")).json() == {"name": "ann", "signed": 1}
