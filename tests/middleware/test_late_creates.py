"""A `create` that failed and takes place later, also after a logout: it opens nothing, whatever it was for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware as StarletteSessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from starlette_sessions_ext import MemoryStore, MigratingStore, SessionStore, StarletteCookie, StoreTimeout
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, Handler, make_app
from ..support.handlers import renew, rotate, view
from ..support.store_wrappers import WrappedStore

pytestmark = pytest.mark.anyio

OLD_SECRET = "the secret of another middleware"


class LateStore(WrappedStore):
    """The create that `late` counts down to has no answer, and takes place when it is said to."""

    def __init__(self, store: SessionStore) -> None:
        super().__init__(store)
        self.late: int | None = None
        self.missing: list[tuple[str, bytes, int]] = []

    async def before(self, call: str) -> None:
        pass

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        if self.late == 0:
            self.late = None
            self.missing.append((key, data, expires_at))
            raise StoreTimeout("no answer")
        if self.late is not None:
            self.late -= 1
        return await super().create(key, data, expires_at)

    async def arrive(self) -> bool:
        [row] = self.missing
        return await self.store.create(*row)


async def sign_in(request: Request) -> Any:
    request.state.session["user"] = "ann"


async def sign_out(request: Request) -> Any:
    request.state.session.destroy()


HANDLERS: dict[str, Handler] = {
    "/": view,
    "/sign-in": sign_in,
    "/rotate": rotate,
    "/renew": renew,
    "/sign-out": sign_out,
}


@pytest.fixture
def memory(clock: FakeClock) -> Callable[[], MemoryStore]:
    return lambda: MemoryStore(clock=clock)


async def ended(browser: Browser, *others: Browser) -> None:
    """Neither what the browser has now nor any cookie that it ever had opens a session."""
    for one in (browser, *others):
        assert (await one.get("/")).json() == {}


async def test_of_a_new_session(memory: Callable[[], MemoryStore], clock: FakeClock) -> None:
    store = LateStore(memory())
    browser = Browser(make_app(store, HANDLERS, clock=clock))
    store.late = 0
    assert (await browser.get("/sign-in")).status == 503
    assert browser.cookies == {}, "its id was given to nobody"
    assert await store.arrive()
    await ended(browser)


@pytest.mark.parametrize("change", ["/rotate", "/renew"])
async def test_of_a_new_id(memory: Callable[[], MemoryStore], clock: FakeClock, change: str) -> None:
    store = LateStore(memory())
    browser = Browser(make_app(store, HANDLERS, clock=clock))
    await browser.get("/sign-in")
    before = browser.tab()
    store.late = 0
    assert (await browser.get(change)).status == 503
    assert browser.cookies == before.cookies
    await browser.get("/sign-out")
    assert await store.arrive()
    await ended(browser, before)


@pytest.mark.parametrize("late", [0, 1], ids=["the session", "the alias under the old cookie"])
@pytest.mark.parametrize("arrives", ["before the next request", "after the logout"])
async def test_of_another_middlewares_session(
    memory: Callable[[], MemoryStore], clock: FakeClock, late: int, arrives: str
) -> None:
    async def begin(request: Request) -> JSONResponse:
        request.session["user"] = "ann"
        return JSONResponse({})

    former = Starlette(routes=[Route("/", begin)])
    former.add_middleware(StarletteSessionMiddleware, secret_key=OLD_SECRET)
    browser = Browser(former)
    await browser.get("/")
    clock.now = max(clock.now, float(int(time.time())))  # Starlette goes by the real time
    store = LateStore(memory())
    browser.app = make_app(store, HANDLERS, clock=clock, legacy_cookies=[StarletteCookie(OLD_SECRET)])
    old = browser.tab()
    store.late = late
    assert (await browser.get("/")).status == 503
    if arrives == "before the next request":
        assert await store.arrive()
    assert (await browser.get("/")).json() == {"user": "ann"}
    again = browser.tab()
    await browser.get("/sign-out")
    if arrives == "after the logout":
        assert await store.arrive() == (late == 0), "the alias of the second request keeps the key taken"
    await ended(browser, old, again)


async def test_of_a_migrations_claim(memory: Callable[[], MemoryStore], clock: FakeClock) -> None:
    old, new = memory(), LateStore(memory())
    browser = Browser(make_app(old, HANDLERS, clock=clock))
    await browser.get("/sign-in")
    browser.app = make_app(MigratingStore(new, old), HANDLERS, clock=clock)
    new.late = 0
    assert (await browser.get("/")).status == 503
    assert (await browser.get("/")).json() == {"user": "ann"}
    before = browser.tab()
    await browser.get("/sign-out")
    assert await new.arrive()
    await ended(browser, before)
