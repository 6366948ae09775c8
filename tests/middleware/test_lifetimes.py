"""How long a session and its cookie live, and how seldom that costs a write."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import MemoryStore
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Answer, Browser, make_app
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio

MINUTE, HOUR, DAY = 60, 60 * 60, 24 * 60 * 60


async def view(request: Request) -> Any:
    return dict(request.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.session.update(request.query_params)


async def remember(request: Request) -> Any:
    request.state.session.set_lifetime(timedelta(days=90))


async def forget(request: Request) -> Any:
    request.state.session.set_lifetime(None)


async def times(request: Request) -> Any:
    session = request.state.session
    return [session.created_at, session.expires_at]


class Site:
    """A browser with a session, and the clock of it all."""

    def __init__(self, clock: FakeClock, **options: Any) -> None:
        self.clock = clock
        self.store = CountingStore(MemoryStore(clock=clock))
        handlers = {"/": view, "/put": put, "/remember": remember, "/forget": forget, "/times": times}
        self.browser = Browser(make_app(self.store, handlers, clock=clock, **options))

    async def get(self, path: str = "/", *, after: float = 0) -> Answer:
        self.clock.advance(after)
        self.store.calls.clear()
        return await self.browser.get(path)

    async def alive(self, *, after: float) -> bool:
        return bool((await self.get(after=after)).json())


def max_age(answer: Answer) -> int | None:
    """The Max-Age of the one cookie in the answer; None where it has none."""
    [line] = answer.set_cookies
    values = [part.partition("=")[2] for part in line.split("; ") if part.startswith("Max-Age=")]
    return int(values[0]) if values else None


async def test_a_session_in_use_lives_on_and_an_idle_one_ends(clock: FakeClock) -> None:
    site = Site(clock, idle_timeout=30 * MINUTE)
    await site.get("/put?name=ann")
    for _ in range(10):
        assert await site.alive(after=20 * MINUTE)
    assert not await site.alive(after=30 * MINUTE)


async def test_it_ends_on_the_second(clock: FakeClock) -> None:
    site = Site(clock, idle_timeout=30 * MINUTE)
    await site.get("/put?name=ann")
    assert await site.alive(after=30 * MINUTE - 1)
    assert not await site.alive(after=30 * MINUTE)


async def test_an_expired_session_is_refilled_under_a_new_id(clock: FakeClock) -> None:
    site = Site(clock, idle_timeout=30 * MINUTE)
    await site.get("/put?name=ann")
    expired = dict(site.browser.cookies)
    await site.get("/put?name=bob", after=30 * MINUTE)
    assert site.browser.cookies.keys() == expired.keys()
    assert site.browser.cookies != expired
    assert (await site.get()).json() == {"name": "bob"}


async def test_a_touch_costs_a_write_only_when_a_tenth_of_the_idle_time_has_passed(clock: FakeClock) -> None:
    site = Site(clock, idle_timeout=10 * MINUTE)
    await site.get("/put?name=ann")
    calls = []  # where the cookie is sent again too, the row is compared and swapped: the id may have been renewed
    for _ in range(4):
        answer = await site.get(after=20)
        calls.append((site.store.calls[:], len(answer.set_cookies)))
    assert calls == [(["load"], 0), (["load"], 0), (["load", "replace"], 1), (["load"], 0)]


async def test_touch_interval_says_when_to_touch(clock: FakeClock) -> None:
    site = Site(clock, idle_timeout=10 * MINUTE, touch_interval=timedelta(minutes=5))
    await site.get("/put?name=ann")
    await site.get(after=5 * MINUTE - 1)
    assert site.store.calls == ["load"]
    await site.get(after=1)
    assert site.store.calls == ["load", "replace"]


async def test_a_change_moves_the_expiry_only_when_a_touch_would(clock: FakeClock) -> None:
    site = Site(clock, max_age=10 * MINUTE)
    await site.get("/put?name=ann")
    answer = await site.get("/put?name=bob", after=59)
    assert (site.store.calls, answer.set_cookies) == (["load", "replace"], [])
    answer = await site.get("/put?name=cat", after=1)
    assert (site.store.calls, max_age(answer)) == (["load", "replace"], 10 * MINUTE)
    assert await site.alive(after=10 * MINUTE - 1)


async def test_the_cookie_is_sent_again_when_the_touch_moves_it(clock: FakeClock) -> None:
    site = Site(clock, max_age=14 * DAY)
    assert max_age(await site.get("/put?name=ann")) == 14 * DAY
    before = dict(site.browser.cookies)
    answer = await site.get(after=2 * DAY)
    assert max_age(answer) == 14 * DAY
    assert answer.all("cache-control") == ["no-store"]
    assert site.browser.cookies == before, "the same id"


async def test_an_absolute_timeout_within_max_age_needs_no_second_cookie(clock: FakeClock) -> None:
    site = Site(clock, max_age=14 * DAY, idle_timeout=HOUR, absolute_timeout=8 * HOUR)
    assert max_age(await site.get("/put?name=ann")) == 8 * HOUR
    answer = await site.get(after=30 * MINUTE)
    assert (site.store.calls, answer.set_cookies) == (["load", "touch"], [])


async def test_nothing_moves_the_absolute_timeout(clock: FakeClock) -> None:
    site = Site(clock, idle_timeout=HOUR, absolute_timeout=2 * HOUR)
    await site.get("/put?name=ann")
    created, _ = (await site.get("/times")).json()
    for path in ("/", "/put?name=bob", "/remember"):
        assert (await site.get(path, after=30 * MINUTE)).status == 200
    assert (await site.get("/times")).json() == [created, created + 2 * HOUR]
    assert await site.alive(after=30 * MINUTE - 1)
    assert not await site.alive(after=1)


async def test_max_age_none_is_a_cookie_until_the_browser_closes(clock: FakeClock) -> None:
    site = Site(clock, max_age=None, idle_timeout=HOUR)
    assert max_age(await site.get("/put?name=ann")) is None
    answer = await site.get(after=30 * MINUTE)
    assert (site.store.calls, answer.set_cookies) == (["load", "touch"], [])
    assert not await site.alive(after=HOUR)


async def test_max_age_none_alone_keeps_the_session_for_fourteen_idle_days(clock: FakeClock) -> None:
    site = Site(clock, max_age=None)
    await site.get("/put?name=ann")
    assert await site.alive(after=14 * DAY - 1)
    assert not await site.alive(after=14 * DAY)


async def test_a_remembered_session_lives_longer_than_the_others(clock: FakeClock) -> None:
    site = Site(clock, max_age=None, idle_timeout=HOUR)
    await site.get("/put?name=ann")
    assert max_age(await site.get("/remember")) == 90 * DAY
    assert site.store.calls == ["load", "replace"]
    answer = await site.get(after=60 * DAY)
    assert max_age(answer) == 90 * DAY, "in use, it goes on for as long again"
    assert await site.alive(after=90 * DAY - 1)
    assert not await site.alive(after=90 * DAY)


async def test_setting_the_lifetime_that_it_has_writes_nothing(clock: FakeClock) -> None:
    site = Site(clock, max_age=None, idle_timeout=HOUR)
    await site.get("/put?name=ann")
    await site.get("/remember")
    answer = await site.get("/remember")
    assert (site.store.calls, answer.set_cookies) == (["load"], [])


async def test_a_session_may_be_remembered_from_its_start(clock: FakeClock) -> None:
    async def sign_in(request: Request) -> Any:
        request.session["name"] = "ann"
        await remember(request)

    site = Site(clock, idle_timeout=HOUR)
    site.browser.app = make_app(site.store, {"/": view, "/sign-in": sign_in}, clock=clock, idle_timeout=HOUR)
    assert max_age(await site.get("/sign-in")) == 90 * DAY
    assert await site.alive(after=89 * DAY)


async def test_a_shorter_idle_timeout_applies_at_the_next_use(clock: FakeClock) -> None:
    long, short = Site(clock, max_age=None, idle_timeout=10_000), Site(clock, max_age=None, idle_timeout=1000)
    await long.get("/put?name=ann")
    short.store.store = long.store.store
    short.browser.cookies = long.browser.cookies
    assert await short.alive(after=0)
    assert short.store.calls == ["load", "touch"]
    assert await short.alive(after=999)
    assert not await short.alive(after=1000)


async def test_a_remembered_session_may_go_back_to_the_settings(clock: FakeClock) -> None:
    site = Site(clock, max_age=14 * DAY, idle_timeout=HOUR)
    await site.get("/put?name=ann")
    await site.get("/remember")
    assert max_age(await site.get("/forget")) == 14 * DAY
    assert not await site.alive(after=HOUR)


async def test_going_back_to_a_browser_session_takes_the_max_age_from_the_cookie(clock: FakeClock) -> None:
    site = Site(clock, max_age=None)
    await site.get("/put?name=ann")
    assert max_age(await site.get("/remember")) == 90 * DAY
    assert max_age(await site.get("/forget")) is None


async def test_a_rotated_session_keeps_its_lifetime_and_its_age(clock: FakeClock) -> None:
    async def rotate(request: Request) -> Any:
        request.state.session.rotate()

    handlers = {"/": view, "/put": put, "/remember": remember, "/rotate": rotate, "/times": times}
    site = Site(clock)
    site.browser.app = make_app(site.store, handlers, clock=clock, absolute_timeout=100 * DAY)
    await site.get("/put?name=ann")
    created, _ = (await site.get("/times")).json()
    await site.get("/remember")
    assert max_age(await site.get("/rotate", after=20 * DAY)) == 80 * DAY
    assert (await site.get("/times")).json() == [created, created + 100 * DAY]
