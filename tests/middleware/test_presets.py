"""The lifetimes of NIST SP 800-63B-4, held to by the server: requirement V5."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from starlette_sessions_ext import MemoryStore, SessionMiddleware
from starlette_sessions_ext.presets import AAL1, AAL2, AAL3, DAY, HOUR, MINUTE, Preset
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Browser, make_app
from ..support.handlers import rotate, view

pytestmark = pytest.mark.anyio

LEVELS = pytest.mark.parametrize(
    ("preset", "longest", "longest_idle"),
    [(AAL1, 30 * DAY, 30 * DAY), (AAL2, 24 * HOUR, HOUR), (AAL3, 12 * HOUR, 15 * MINUTE)],
    ids=["AAL1", "AAL2", "AAL3"],
)


async def sign_in(request: Request) -> Any:
    request.session["user"] = "ann"


async def change(request: Request) -> Any:
    request.session["visits"] = request.session.get("visits", 0) + 1


HANDLERS = {"/": view, "/sign_in": sign_in, "/change": change, "/rotate": rotate}


async def signed_in(clock: FakeClock, preset: Preset) -> Browser:
    """A browser that sends its cookie for ever."""
    browser = Browser(make_app(MemoryStore(clock=clock), HANDLERS, clock=clock, **preset))
    await browser.get("/sign_in")
    return browser


async def is_signed_in(browser: Browser) -> bool:
    return "user" in (await browser.get("/")).json()


@LEVELS
async def test_V5_an_idle_session_ends_on_the_second(
    clock: FakeClock, preset: Preset, longest: int, longest_idle: int
) -> None:
    browser = await signed_in(clock, preset)
    clock.advance(longest_idle - 1)
    assert await is_signed_in(browser.tab())
    browser = await signed_in(clock, preset)
    clock.advance(longest_idle)
    assert not await is_signed_in(browser)


@LEVELS
@pytest.mark.parametrize("use", ["/", "/change", "/rotate"])
async def test_V5_no_use_moves_the_absolute_end(
    clock: FakeClock, preset: Preset, longest: int, longest_idle: int, use: str
) -> None:
    browser = await signed_in(clock, preset)
    step = longest_idle // 3
    for _ in range(longest // step - 1):
        clock.advance(step)
        await browser.get(use)
    clock.advance(step - 1)
    assert await is_signed_in(browser)
    clock.advance(1)
    assert not await is_signed_in(browser)


@LEVELS
async def test_V5_the_cookie_goes_no_later_than_the_session(
    clock: FakeClock, preset: Preset, longest: int, longest_idle: int
) -> None:
    browser = Browser(make_app(MemoryStore(clock=clock), HANDLERS, clock=clock, **preset))
    [cookie] = (await browser.get("/sign_in")).set_cookies
    assert f"Max-Age={longest};" in cookie
    clock.advance(longest_idle - 1)
    [cookie] = (await browser.get("/rotate")).set_cookies
    assert f"Max-Age={longest - longest_idle + 1};" in cookie


def test_they_are_spread_into_the_middleware() -> None:
    """The type checker reads this as well."""
    SessionMiddleware(Starlette(), SECRET, store=MemoryStore(), **AAL3)
    app = Starlette()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore(), **AAL2)
    app.build_middleware_stack()
