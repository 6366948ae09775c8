"""A store that is down, a client that goes away, a handler that is cancelled: rows F1, F2, F8 and F9.

F6 is in stores/test_asgi_servers.py, F7 in stores/test_breaker_recovery.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from starlette_sessions_ext import SessionNotSaved, SessionStore, Stored, StoreUnavailable
from starlette_sessions_ext._core.repository import LATE_FOR
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Answer, Browser, Handler, make_app
from ..support.handlers import clear, logout, put, renew, rotate, view
from ..support.store_wrappers import CountingStore, DownStore, WrappedStore
from .conftest import memory_only

pytestmark = pytest.mark.anyio

T = TypeVar("T")


async def degraded(request: Request) -> Any:
    return request.state.session.degraded


async def save(request: Request) -> Any:
    await request.state.session.save()


async def atomic(request: Request) -> Any:
    await request.state.session.atomic(dict.copy)


async def remember(request: Request) -> Any:
    request.state.session.set_lifetime(60)


async def late(request: Request) -> Any:
    return JSONResponse({}, background=BackgroundTask(request.state.session.update, late=1))


async def fail(request: Request) -> Any:
    request.state.session["half"] = "done"
    raise ZeroDivisionError


HANDLERS: dict[str, Handler] = {
    "/": view,
    "/degraded": degraded,
    "/put": put,
    "/save": save,
    "/atomic": atomic,
    "/clear": clear,
    "/logout": logout,
    "/rotate": rotate,
    "/renew": renew,
    "/remember": remember,
    "/late": late,
    "/fail": fail,
}


@pytest.fixture
def down(store: CountingStore) -> DownStore:
    return DownStore(store)


async def begun(store: SessionStore, **options: Any) -> Browser:
    browser = Browser(make_app(store, HANDLERS, **options))
    await browser.get("/put?name=ann")
    return browser


def assert_refused(answer: Answer) -> None:
    assert (answer.status, answer.set_cookies) == (503, [])
    assert [int(seconds) > 0 for seconds in answer.all("retry-after")] == [True]


# F1


async def test_F1_without_its_session_a_request_is_answered_503_and_keeps_its_cookie(down: DownStore) -> None:
    browser = await begun(down)
    cookies = dict(browser.cookies)
    down.down = True
    for path in ("/", "/put?a=1", "/logout"):
        assert_refused(await browser.get(path))
    down.down = False
    assert browser.cookies == cookies


async def test_F1_anonymous_serves_readers_with_an_empty_session(down: DownStore) -> None:
    browser = await begun(down, on_store_error="anonymous")
    assert (await browser.get("/degraded")).json() is False
    down.down = True
    answer = await browser.get("/")
    assert (answer.status, answer.json(), answer.set_cookies) == (200, {}, [])
    assert (answer.all("vary"), answer.all("cache-control")) == (["Cookie"], ["no-store"])
    assert (await browser.get("/degraded")).json() is True
    assert (await Browser(browser.app).get("/degraded")).json() is False, "who has no session misses none"


@memory_only
@pytest.mark.parametrize(
    "path", ["/put?a=1", "/save", "/atomic", "/clear", "/logout", "/rotate", "/renew", "/remember"]
)
async def test_F1_anonymous_refuses_whatever_would_change_the_session(down: DownStore, path: str) -> None:
    browser = await begun(down, on_store_error="anonymous")
    cookies = dict(browser.cookies)
    down.down = True
    assert_refused(await browser.get(path))
    down.down = False
    assert browser.cookies == cookies


async def test_F1_anonymous_is_loud_about_a_late_change(down: DownStore) -> None:
    browser = await begun(down, on_store_error="anonymous")
    down.down = True
    with pytest.raises(StoreUnavailable, match="couldn't be loaded"):
        await browser.get("/late")


# F2


@pytest.mark.parametrize("path", ["/put?a=1", "/atomic", "/logout", "/rotate", "/renew", "/remember"])
async def test_F2_what_cant_be_saved_isnt_answered_as_done(store: CountingStore, path: str) -> None:
    class ReadOnly(DownStore):
        async def load(self, key: str) -> Stored | None:
            return await self.store.load(key)

    read_only = ReadOnly(store)
    browser = await begun(read_only)
    cookies = dict(browser.cookies)
    read_only.down = True
    if path == "/atomic":  # which changes nothing here
        assert (await browser.get(path)).status == 200
    else:
        assert_refused(await browser.get(path))
    assert_refused(await Browser(browser.app).get("/put?a=1"))
    read_only.down = False
    assert browser.cookies == cookies
    assert (await browser.get("/")).json() == {"name": "ann"}


async def test_F2_the_handlers_own_error_isnt_masked(down: DownStore) -> None:
    browser = Browser(make_app(down, HANDLERS))
    down.down = True
    with pytest.raises(ZeroDivisionError):
        await browser.get("/fail")


# F9


async def test_F9_the_write_comes_before_the_response_leaves(store: CountingStore) -> None:
    calls_at_start: list[list[str]] = []
    app = make_app(store, HANDLERS)

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                calls_at_start.append(store.calls[:])
            await send(message)

        await app(scope, receive, watch)

    browser = Browser(watching)
    await browser.get("/put?name=ann")
    await browser.get("/put?name=bob")
    assert calls_at_start == [["create"], ["create", "load", "replace"]]


async def test_F9_a_change_after_the_response_has_started_is_saved(store: CountingStore) -> None:
    browser = await begun(store)
    assert (await browser.get("/late")).set_cookies == []
    assert (await browser.get("/")).json() == {"name": "ann", "late": 1}


async def test_F9_a_session_that_begins_after_the_response_has_started_is_a_loud_error(store: CountingStore) -> None:
    with pytest.raises(SessionNotSaved):
        await Browser(make_app(store, HANDLERS)).get("/late")
    assert store.calls == []


# F8


class Cancelling(WrappedStore):
    """Cancels `scope` at call number `at`: before the store carries it out, or after."""

    scope: anyio.CancelScope
    at: int | None = None
    after = False

    async def before(self, call: str) -> None:
        if not self.after:
            await self._count()

    async def load(self, key: str) -> Stored | None:
        return await self._after(await super().load(key))

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        return await self._after(await super().create(key, data, expires_at))

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        return await self._after(await super().replace(key, data, expires_at, version))

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await self._after(await super().delete(key, version))

    async def _after(self, result: T) -> T:
        if self.after:
            await self._count()
        return result

    async def _count(self) -> None:
        if self.at is not None:
            self.at -= 1
            if self.at < 0:
                self.at = None
                self.scope.cancel()
                await anyio.sleep_forever()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("path", ["/put?name=bob&also=1", "/logout", "/rotate", "/renew"])
async def test_F8_a_cancelled_request_leaves_the_old_or_the_new_state(
    store: CountingStore,
    clock: FakeClock,
    advance: Callable[[float], Awaitable[None]],
    path: str,
    at: int,
    after: bool,
) -> None:
    cancelling = Cancelling(store)
    browser = await begun(cancelling, clock=clock)
    cookies = dict(browser.cookies)
    cancelling.at, cancelling.after = at, after
    with anyio.CancelScope() as cancelling.scope:
        await browser.get(path)
    if cancelling.scope.cancelled_caught:
        assert browser.cookies == cookies
    cancelling.at = None
    found = (await browser.tab().get("/")).json()
    states: list[dict[str, str]] = [{"name": "ann"}, {"name": "bob", "also": "1"}]
    assert found in ([{}, *states] if path in ("/logout", "/rotate") else states)
    if path == "/rotate":
        await advance(LATE_FOR)  # so that a request with the old id isn't taken for a late one
    await browser.get("/put?next=1")
    assert (await browser.get("/")).json() == {**found, "next": "1"}


@pytest.mark.parametrize("after", [False, True])
async def test_F8_a_cancelled_first_request_sends_no_cookie(store: CountingStore, after: bool) -> None:
    cancelling = Cancelling(store)
    browser = Browser(make_app(cancelling, HANDLERS))
    cancelling.at, cancelling.after = 0, after
    with anyio.CancelScope() as cancelling.scope:
        await browser.get("/put?name=ann")
    assert cancelling.scope.cancelled_caught
    assert browser.cookies == {}


@pytest.mark.parametrize("ticks", range(12))
async def test_F8_a_client_that_leaves_in_the_middle_of_a_stream(store: CountingStore, ticks: int) -> None:
    """Servers cancel the application then, or let it go on: both leave the old or the new state."""

    async def stream(request: Request) -> Any:
        async def body() -> AsyncIterator[bytes]:
            for number in range(3):
                request.state.session.update(one=number, two=number)
                yield b"."
                await anyio.lowlevel.checkpoint()

        return StreamingResponse(body())

    browser = Browser(make_app(store, {**HANDLERS, "/stream": stream}))
    await browser.get("/put?name=ann")

    async with anyio.create_task_group() as group:

        async def leave() -> None:
            for _ in range(ticks):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

        group.start_soon(leave)
        await browser.get("/stream")
    found = (await browser.get("/")).json()
    assert found in ({"name": "ann"}, {"name": "ann", "one": 2, "two": 2})
