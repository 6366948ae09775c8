"""Parallel requests of one session: requirements K2 to K8. K1 is in test_processes.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocket

from starlette_sessions_ext import EventKind, SessionConflict, SessionEvent, SessionGone, SessionStore
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Answer, Browser, Handler, make_app
from ..support.handlers import logout, put, view
from ..support.scheduler import Scheduler, every_order
from ..support.store_wrappers import CountingStore, GatedStore

pytestmark = pytest.mark.anyio

Advance = Callable[[float], Awaitable[None]]
HOUR = 3600


async def ping(request: Request) -> Any:
    """Doesn't look at the session, but is a use of it."""
    return {}


async def login(request: Request) -> Any:
    request.state.session["user"] = "ann"
    request.state.session.rotate()
    return {}


async def count(request: Request) -> Any:
    def increment(data: dict[str, Any]) -> int:
        data["count"] = data.get("count", 0) + 1
        return int(data["count"])

    try:
        return await request.state.session.atomic(increment)
    except SessionGone:  # no exact count can be given for a session that has ended: the application gets an error
        return "gone"


async def stream(request: Request) -> Any:
    """Changes the session after the response has started."""

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        if "start" in request.state.session:
            request.state.session["late"] = 1
        yield b"last"

    return StreamingResponse(body())


async def talk(websocket: WebSocket) -> None:
    """Changes the session while the socket is open, and hears a message."""
    await websocket.accept()
    if "start" in websocket.session:
        websocket.session["late"] = 1
    await websocket.receive_text()


HANDLERS: dict[str, Handler] = {
    "/stream": stream,
    "/": view,
    "/put": put,
    "/ping": ping,
    "/logout": logout,
    "/login": login,
    "/count": count,
}


async def signed_in(store: SessionStore, **options: Any) -> Browser:
    browser = Browser(make_app(store, HANDLERS, {"/socket": talk}, **options))
    await browser.get("/put?start=0")
    return browser


async def in_every_order(
    store: SessionStore,
    requests: list[str],
    check: Callable[[Browser, list[Browser], list[Answer]], Awaitable[None]],
    *,
    before: Callable[[], Awaitable[None]] | None = None,
    **options: Any,
) -> int:
    """Make the requests in parallel tabs, their store calls in every order, and `check` each time.

    `check` is given the browser as it was before, the tabs as they are after, and the answers.
    """

    async def scenario(scheduler: Scheduler) -> None:
        browser = await signed_in(GatedStore(store, scheduler.pass_through), **options)
        if before is not None:
            await before()
        tabs = [browser.tab() for _ in requests]
        answers: dict[int, Answer] = {}

        def visit(number: int) -> Callable[[], Awaitable[None]]:
            async def go() -> None:
                try:
                    if requests[number] == "/socket":
                        await tabs[number].connect("/socket", "text")
                        answers[number] = Answer(200, [])
                    else:
                        answers[number] = await tabs[number].get(requests[number])
                except SessionConflict:
                    answers[number] = Answer(500, [])

            return go

        await scheduler.run([visit(number) for number in range(len(requests))])
        await check(browser, tabs, [answers[number] for number in range(len(requests))])

    return await every_order(scenario)


async def test_K2_fifty_parallel_requests_each_set_a_key_of_their_own(store: CountingStore) -> None:
    browser = await signed_in(store)
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(browser.get, f"/put?key{number}={number}")
    assert (await browser.get("/")).json() == {"start": "0", **{f"key{n}": str(n) for n in range(50)}}


async def test_K2_different_keys_are_kept_in_every_order(store: CountingStore) -> None:
    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        assert (await browser.get("/")).json() == {"start": "0", "a": "1", "b": "2"}

    assert await in_every_order(store, ["/put?a=1", "/put?b=2"], check) > 5


async def test_K2_a_rotation_takes_along_what_was_saved_meanwhile(store: CountingStore) -> None:
    events: list[SessionEvent] = []

    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        data = (await tabs[1].get("/")).json()
        came_too_late = EventKind.WRITE_DROPPED in {event.kind for event in events} or bool(answers[0].set_cookies)
        assert data == {"start": "0", "user": "ann"} | ({} if came_too_late else {"a": "1"})
        seen.add(came_too_late)
        events.clear()

    seen: set[bool] = set()
    assert await in_every_order(store, ["/put?a=1", "/login"], check, on_event=events.append) > 5
    assert seen == {True, False}


async def test_K3_raise_gives_the_loser_of_a_key_a_conflict(store: CountingStore) -> None:
    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        saved = [value for value, answer in zip("ab", answers, strict=True) if answer.status == 200]
        assert (await browser.get("/")).json()["same"] in saved
        outcomes.append(len(saved))

    outcomes: list[int] = []
    await in_every_order(store, ["/put?same=a", "/put?same=b"], check, on_conflict="raise")
    assert set(outcomes) == {1, 2}, "one loses where they overlap; one after the other is no conflict"


async def test_K3_raise_still_merges_different_keys(store: CountingStore) -> None:
    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        assert (await browser.get("/")).json() == {"start": "0", "a": "1", "b": "2"}

    await in_every_order(store, ["/put?a=1", "/put?b=2"], check, on_conflict="raise")


async def test_K3_merge_lets_the_later_win_the_key_and_counts_it(store: CountingStore) -> None:
    events: list[SessionEvent] = []

    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        kinds = [event.kind for event in events]
        in_parallel = kinds.count(EventKind.CONFLICT_OVERWRITTEN) == 1
        assert in_parallel or EventKind.CONFLICT_OVERWRITTEN not in kinds
        data = (await browser.get("/")).json()
        assert data["same"] in ("a", "b")
        assert data["other"] == "c", "a conflict in one key must not cost another"
        overlaps.append(in_parallel)
        events.clear()

    overlaps: list[bool] = []
    await in_every_order(store, ["/put?same=a", "/put?same=b&other=c"], check, on_event=events.append)
    assert set(overlaps) == {True, False}


async def test_K3_atomic_loses_neither(store: CountingStore) -> None:
    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        assert sorted(answer.json() for answer in answers) == [1, 2]
        assert (await browser.get("/")).json() == {"start": "0", "count": 2}

    assert await in_every_order(store, ["/count", "/count"], check) > 5


@pytest.mark.parametrize("slow", ["/put?late=1", "/count", "/ping", "/stream", "/socket"])
async def test_K4_a_logout_is_final_whatever_a_slower_request_does(
    store: CountingStore, clock: FakeClock, advance: Advance, slow: str
) -> None:
    async def let_a_touch_be_due() -> None:
        await advance(HOUR)

    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        assert answers[0].status == answers[1].status == 200
        assert tabs[1].cookies == {}
        assert (await browser.get("/")).json() == {}
        # A request that came after the logout may have begun another session.
        assert "start" not in (await tabs[0].get("/")).json()

    options: dict[str, Any] = {"before": let_a_touch_be_due, "clock": clock, "max_age": 5 * HOUR}
    assert await in_every_order(store, [slow, "/logout"], check, **options) > 2


async def test_K4_a_logout_and_a_rotation(store: CountingStore) -> None:
    """Whichever comes first stands: a logout leaves nothing, a rotation leaves nothing to log out of."""

    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        assert (await browser.get("/")).json() == {}, "the old id must open nothing"
        logged_out = tabs[1].cookies == {}
        data = (await tabs[0].get("/")).json()
        if logged_out:
            assert data in ({}, {"user": "ann"}), "at most a sign-in after the logout"
        else:
            assert data == {"start": "0", "user": "ann"}
        seen.append((logged_out, len(data)))

    seen: list[tuple[bool, int]] = []
    await in_every_order(store, ["/login", "/logout"], check)
    assert set(seen) == {(True, 0), (True, 1), (False, 2)}


async def test_K4_a_slower_request_leaves_the_cookie_alone(store: CountingStore) -> None:
    """Its delete cookie would kill the session that a sign-in in another tab has just made."""
    events: list[SessionEvent] = []

    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        if EventKind.WRITE_DROPPED in {event.kind for event in events}:
            assert answers[0].set_cookies == []
            dropped.append(True)
        events.clear()

    dropped: list[bool] = []
    await in_every_order(store, ["/put?late=1", "/logout"], check, on_event=events.append)
    assert dropped


@pytest.mark.parametrize("slow", ["/stream", "/socket"])
async def test_K2_what_is_saved_after_the_response_has_started_is_merged(store: CountingStore, slow: str) -> None:
    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        assert (await browser.get("/")).json() == {"start": "0", "a": "1", "late": 1}

    assert await in_every_order(store, [slow, "/put?a=1"], check) > 5


@pytest.mark.slow
@pytest.mark.parametrize("end", ["/logout", "/login"])
async def test_K5_a_socket_that_is_kept_alive_brings_nothing_back(
    store: CountingStore, clock: FakeClock, advance: Advance, end: str
) -> None:
    """Each message comes so late that the expiry has to be moved."""

    async def slowly(request: Request) -> Any:
        await advance(HOUR)
        return await HANDLERS[end](request)

    async def hear(websocket: WebSocket) -> None:
        await websocket.accept()
        await advance(HOUR)
        await websocket.receive_text()

    async def scenario(scheduler: Scheduler) -> None:
        app = make_app(
            GatedStore(store, scheduler.pass_through),
            {**HANDLERS, "/end": slowly},
            {"/socket": hear},
            clock=clock,
            max_age=10 * HOUR,
        )
        browser = Browser(app)
        await browser.get("/put?start=0")
        tabs = [browser.tab(), browser.tab()]

        async def listen() -> None:
            await tabs[0].connect("/socket", "text")

        async def leave() -> None:
            await tabs[1].get("/end")

        await scheduler.run([listen, leave])
        assert (await tabs[0].get("/")).json() == {}
        assert tabs[0].cookies == browser.cookies, "a socket sends no cookie"
        after = {"start": "0", "user": "ann"} if end == "/login" else {}
        assert (await tabs[1].get("/")).json() == after

    assert await every_order(scenario) > 5


async def test_K5_a_touch_doesnt_undo_a_save(store: CountingStore, clock: FakeClock, advance: Advance) -> None:
    async def check(browser: Browser, tabs: list[Browser], answers: list[Answer]) -> None:
        assert (await browser.get("/")).json() == {"start": "0", "a": "1"}
        await advance(4.5 * HOUR)
        assert (await browser.get("/")).json() == {"start": "0", "a": "1"}, "and it lives on from the last use"

    async def let_a_touch_be_due() -> None:
        await advance(HOUR)

    options: dict[str, Any] = {"before": let_a_touch_be_due, "clock": clock, "max_age": 5 * HOUR}
    await in_every_order(store, ["/ping", "/put?a=1"], check, **options)


async def test_K6_what_is_only_read_is_never_written(store: CountingStore) -> None:
    browser = await signed_in(store)
    store.calls.clear()
    for _ in range(5):
        await browser.get("/")
    assert store.calls == ["load"] * 5


async def test_K6_nested_changes_are_saved_and_equal_values_arent(store: CountingStore) -> None:
    async def nest(request: Request) -> Any:
        request.state.session["a"] = {"b": []}
        return {}

    async def append(request: Request) -> Any:
        request.state.session["a"]["b"].append(1)
        return {}

    async def same(request: Request) -> Any:
        request.state.session["a"] = {"b": [1]}
        return {}

    browser = Browser(make_app(store, {"/": view, "/nest": nest, "/append": append, "/same": same}))
    await browser.get("/nest")
    await browser.get("/append")
    assert (await browser.get("/")).json() == {"a": {"b": [1]}}
    store.calls.clear()
    assert (await browser.get("/same")).set_cookies == []
    assert store.calls == ["load"]


async def test_K8_parallel_first_requests_make_two_sessions(store: CountingStore) -> None:
    app = make_app(store, HANDLERS)
    one, two = Browser(app), Browser(app)
    async with anyio.create_task_group() as group:
        group.start_soon(one.get, "/put?mine=1")
        group.start_soon(two.get, "/put?mine=2")
    assert one.cookies != two.cookies
    assert (await one.get("/")).json() == {"mine": "1"}
    assert (await two.get("/")).json() == {"mine": "2"}
