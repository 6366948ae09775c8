"""What `legacy_cookies` and `StarletteCookie` refuse when they are made, and what a reader's failure costs: nothing."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import (
    ConfigurationError,
    LegacySession,
    MemoryStore,
    SessionMiddleware,
    StarletteCookie,
)

from ..support.client import SECRET, Browser, make_app

pytestmark = pytest.mark.anyio

COOKIE = StarletteCookie(SECRET)


class Failing:
    """A reader whose old store is away, or which has a fault."""

    name = "old"

    async def read(self, value: str, now: float) -> LegacySession | None:
        raise KeyError(value)


@pytest.mark.parametrize(
    "legacy_cookies", [COOKIE, [StarletteCookie], [Failing], [COOKIE, "secret"], "secret", None, 5]
)
def test_what_isnt_a_list_of_readers_is_refused(legacy_cookies: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^legacy_cookies must be a list of LegacyCookie, such as"):
        SessionMiddleware(make_app(MemoryStore(), {}), SECRET, store=MemoryStore(), legacy_cookies=legacy_cookies)


@pytest.mark.parametrize("name", [5, "", b"session"])
def test_a_name_that_isnt_one_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^StarletteCookie: name must be"):
        StarletteCookie(SECRET, name=name)


async def test_a_reader_that_raises_fails_the_request_and_changes_nothing() -> None:
    """An old session that can't be read now must not be replaced by an empty one."""

    async def put(request: Request) -> Any:
        request.session["user"] = "ann"

    store = MemoryStore()
    browser = Browser(make_app(store, {"/": put}, legacy_cookies=[Failing()]), cookies={"old": "cookie"})
    with pytest.raises(KeyError):
        await browser.get("/")
    assert store._rows == {}
    assert browser.cookies == {"old": "cookie"}
