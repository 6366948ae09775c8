"""session.save() and session.atomic(): what they write, and when they write nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import MemoryStore, NotSerializable, Session, SessionConflict, SessionGone
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.handlers import put
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio

Act = Callable[[Session], Awaitable[Any]]


def increment(data: dict[str, Any]) -> int:
    data["count"] = data.get("count", 0) + 1
    return int(data["count"])


class Site:
    """One browser and an application in which each test puts what its handler does."""

    def __init__(self, clock: FakeClock) -> None:
        self.store = CountingStore(MemoryStore(clock=clock))
        self.browser = Browser(make_app(self.store, {"/": self._handle, "/put": put, "/gone": self._gone}))
        self._act: Act | None = None

    async def do(self, act: Act, browser: Browser | None = None) -> Any:
        """Run `act` in a request, and say what it returned."""
        self._act = act
        answer = await (browser or self.browser).get("/")
        assert answer.status == 200
        return answer.json()

    async def stored(self) -> Any:
        async def read(session: Session) -> Any:
            return dict(session)

        return await self.do(read)

    async def in_between(self, path: str) -> None:
        """A request of another tab, while the handler runs."""
        await self.browser.tab().get(path)

    async def _handle(self, request: Request) -> Any:
        assert self._act is not None
        return await self._act(request.state.session)

    async def _gone(self, request: Request) -> Any:
        request.state.session.destroy()


@pytest.fixture
def site(clock: FakeClock) -> Site:
    return Site(clock)


# save


async def test_save_writes_at_once_and_the_response_writes_no_second_time(site: Site) -> None:
    async def save(session: Session) -> Any:
        session["a"] = 1
        await session.save()
        return [site.store.calls[:], session.is_new, session.created_at is not None]

    assert await site.do(save) == [["create"], False, True]
    assert site.store.calls == ["create"]
    assert await site.stored() == {"a": 1}


async def test_what_changes_after_a_save_is_saved_with_the_response(site: Site) -> None:
    async def save(session: Session) -> Any:
        session["a"] = 1
        await session.save()
        session["b"] = 2

    await site.do(save)
    assert await site.stored() == {"a": 1, "b": 2}


async def test_a_session_that_was_cleared_is_a_new_one(site: Site) -> None:
    async def begin(session: Session) -> Any:
        session["user"] = "ann"
        session.set_lifetime(99)

    async def clear(session: Session) -> Any:
        session.clear()
        session["cart"] = 1
        return [session.is_new, session.created_at, session.expires_at, session.lifetime, session.public_id]

    await site.do(begin)
    assert await site.do(clear) == [True, None, None, None, None]


async def test_save_of_a_session_that_ended_meanwhile_raises_every_time(site: Site) -> None:
    async def save(session: Session) -> Any:
        session["late"] = 1
        await site.in_between("/gone")
        for _ in range(2):
            with pytest.raises(SessionGone):
                await session.save()

    await site.browser.get("/put?a=1")
    await site.do(save)
    assert await site.stored() == {}


async def test_save_shows_what_parallel_requests_saved(site: Site) -> None:
    async def save(session: Session) -> Any:
        await site.in_between("/put?theirs=1")
        session["mine"] = 1
        await session.save()
        return dict(session)

    await site.browser.get("/put?a=1")
    assert await site.do(save) == {"a": "1", "theirs": "1", "mine": 1} == await site.stored()


async def test_what_cant_be_stored_names_its_key_and_is_never_stored(site: Site) -> None:
    async def save(session: Session) -> Any:
        session["when"] = object()
        with pytest.raises(NotSerializable, match="session\\['when'\\]"):
            await session.save()
        del session["when"]

    await site.browser.get("/put?a=1")
    await site.do(save)
    assert await site.stored() == {"a": "1"}


async def test_a_save_that_others_always_forestall_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forestalled(MemoryStore):
        async def replace(self, *args: Any) -> bool:
            return False

    async def save(request: Request) -> Any:
        request.state.session["mine"] = 1
        with pytest.raises(SessionConflict, match="kept changing"):
            await request.state.session.save()
        del request.state.session["mine"]

    monkeypatch.setattr("starlette_sessions_ext._core.backoff.CONFLICT_DEADLINE", 0)
    app = make_app(Forestalled(), {"/put": put, "/save": save})
    browser = Browser(app)
    await browser.get("/put?a=1")
    assert (await browser.get("/save")).status == 200


# atomic


async def test_atomic_returns_what_its_function_returns_and_makes_a_session_where_there_is_none(site: Site) -> None:
    async def count(session: Session) -> Any:
        return [await session.atomic(increment), session["count"], session.is_new]

    assert await site.do(count) == [1, 1, False]
    assert await site.do(count) == [2, 2, False]


async def test_atomic_works_on_the_freshest_data(site: Site) -> None:
    async def count(session: Session) -> Any:
        await site.in_between("/put?theirs=1")
        return await session.atomic(lambda data: [*sorted(data), str(increment(data))])

    await site.browser.get("/put?a=1")
    assert await site.do(count) == ["a", "theirs", "1"]
    assert await site.stored() == {"a": "1", "theirs": "1", "count": 1}


async def test_its_function_sees_the_changes_under_way_but_only_its_own_are_saved_by_it(site: Site) -> None:
    async def count(session: Session) -> Any:
        session["pending"] = 1
        seen = await session.atomic(lambda data: [data["pending"], increment(data)])
        assert session == {"a": "1", "pending": 1, "count": 1}
        stored = await Browser(site.browser.app, cookies=dict(site.browser.cookies)).get("/stored")
        return [seen, stored.json()]

    async def read(request: Request) -> Any:
        return dict(request.state.session)

    site.browser.app = make_app(site.store, {"/": site._handle, "/put": put, "/stored": read})
    await site.browser.get("/put?a=1")
    assert await site.do(count) == [[1, 1], {"a": "1", "count": 1}]
    assert await site.stored() == {"a": "1", "pending": 1, "count": 1}


async def test_objects_that_the_handler_holds_stay_part_of_the_session(site: Site) -> None:
    async def count(session: Session) -> Any:
        cart = session["cart"]
        await session.atomic(increment)
        cart.append("after")
        return session["cart"] is cart

    async def fill(session: Session) -> Any:
        session["cart"] = []

    await site.do(fill)
    assert await site.do(count) is True
    assert await site.stored() == {"cart": ["after"], "count": 1}


async def test_a_function_that_raises_writes_nothing(site: Site) -> None:
    def fail(data: dict[str, Any]) -> None:
        data["half"] = "done"
        raise ZeroDivisionError

    async def count(session: Session) -> Any:
        site.store.calls.clear()
        with pytest.raises(ZeroDivisionError):
            await session.atomic(fail)
        return dict(session)

    await site.browser.get("/put?a=1")
    assert await site.do(count) == {"a": "1"}
    assert site.store.calls == []
    assert await site.stored() == {"a": "1"}


async def test_a_function_that_changes_nothing_writes_nothing(site: Site) -> None:
    async def look(session: Session) -> Any:
        site.store.calls.clear()
        return await session.atomic(lambda data: data.get("a"))

    assert await site.do(look) is None
    assert site.store.calls == []
    await site.browser.get("/put?a=1")
    assert await site.do(look) == "1"
    assert site.store.calls == []


async def test_a_function_is_run_again_until_no_other_request_came_between(site: Site) -> None:
    runs: list[int] = []

    class Interrupted(MemoryStore):
        """Another tab counts just before the first swap."""

        async def replace(self, *args: Any) -> bool:
            if len(runs) == 1:
                runs.append(0)
                await site.in_between("/count")
            return await super().replace(*args)

    def counting(data: dict[str, Any]) -> int:
        runs.append(increment(data))
        return runs[-1]

    async def count(request: Request) -> Any:
        return await request.state.session.atomic(increment)

    async def interrupted(request: Request) -> Any:
        return await request.state.session.atomic(counting)

    site.browser.app = make_app(Interrupted(), {"/count": count, "/interrupted": interrupted})
    await site.browser.get("/count")
    assert (await site.browser.get("/interrupted")).json() == 3
    assert runs == [2, 0, 3]


async def test_atomic_on_a_session_that_ended_meanwhile_raises(site: Site) -> None:
    async def count(session: Session) -> Any:
        await site.in_between("/gone")
        session["b"] = 1
        with pytest.raises(SessionGone):
            await session.atomic(increment)

    await site.browser.get("/put?a=1")
    await site.do(count)
    assert await site.stored() == {}


async def test_atomic_after_a_rotation_counts_under_the_new_id(site: Site) -> None:
    async def count(session: Session) -> Any:
        session.rotate()
        return await session.atomic(increment)

    await site.browser.get("/put?a=1")
    old = site.browser.tab()
    assert await site.do(count) == 1
    assert await site.stored() == {"a": "1", "count": 1}
    assert old.cookies != site.browser.cookies

    async def read(session: Session) -> Any:
        return dict(session)

    assert await site.do(read, old) == {}


async def test_atomic_after_a_logout_starts_a_new_session(site: Site) -> None:
    async def count(session: Session) -> Any:
        session.destroy()
        return await session.atomic(increment)

    await site.browser.get("/put?a=1")
    before = dict(site.browser.cookies)
    assert await site.do(count) == 1
    assert await site.stored() == {"count": 1}
    assert site.browser.cookies != before


async def test_atomic_that_removes_the_last_key_ends_the_session(site: Site) -> None:
    async def use_up(session: Session) -> Any:
        return [await session.atomic(lambda data: data.pop("token")), session.is_new]

    await site.browser.get("/put?token=once")
    assert await site.do(use_up) == ["once", True]
    assert site.browser.cookies == {}
