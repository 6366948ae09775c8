"""Operations on one session object: one after another, and nothing asked while one runs is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from starlette_sessions_ext import MemoryStore, NotSerializable, Session, SessionNotSaved, StoreUnavailable
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio

Act = Callable[[Session], Awaitable[Any]]


class SlowStore(CountingStore):
    """Lets other tasks run for a while at each call; `fails` names calls that raise after that."""

    fails: str | None = None

    async def before(self, call: str) -> None:
        await super().before(call)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        if call == self.fails:
            self.fails = None
            raise StoreUnavailable("the server is away")


class Site:
    """A browser, and a handler that each test gives."""

    def __init__(self, clock: FakeClock) -> None:
        self.store = SlowStore(MemoryStore(clock=clock))
        self.app = make_app(self.store, {"/": self._handle, "/view": self._view}, clock=clock)
        self.browser = Browser(self.app)
        self.act: Act | None = None

    async def do(self, act: Act) -> Any:
        self.act = act
        answer = await self.browser.get("/")
        assert answer.status == 200
        return answer

    async def stored(self, browser: Browser | None = None) -> Any:
        return (await (browser or self.browser).get("/view")).json()

    async def _handle(self, request: Request) -> Any:
        assert self.act is not None
        result = await self.act(request.state.session)
        return result if isinstance(result, Response) else None

    async def _view(self, request: Request) -> Any:
        return dict(request.state.session)


@pytest.fixture
async def site(clock: FakeClock) -> Site:
    site = Site(clock)

    async def begin(session: Session) -> None:
        session["a"] = 0

    await site.do(begin)
    return site


async def while_saving(session: Session, ask: Callable[[], object]) -> None:
    """Call `ask` while a save of another change is under way."""
    session["saved"] = True
    async with anyio.create_task_group() as group:
        group.start_soon(session.save)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        ask()


async def test_a_key_set_while_a_save_runs_is_saved(site: Site) -> None:
    await site.do(lambda session: while_saving(session, lambda: session.update(b=2)))
    assert await site.stored() == {"a": 0, "saved": True, "b": 2}


async def test_a_nested_change_while_a_save_runs_is_saved(site: Site) -> None:
    async def act(session: Session) -> None:
        session["cart"] = []
        await while_saving(session, lambda: session["cart"].append("tea"))

    await site.do(act)
    assert await site.stored() == {"a": 0, "saved": True, "cart": ["tea"]}


async def test_a_change_while_a_save_merges_is_saved(site: Site) -> None:
    async def act(session: Session) -> None:
        async def theirs(session: Session) -> None:
            session["theirs"] = 1

        site.act = theirs
        await site.browser.tab().get("/")
        await while_saving(session, lambda: session.update(b=2))
        assert session["theirs"] == 1

    await site.do(act)
    assert await site.stored() == {"a": 0, "theirs": 1, "saved": True, "b": 2}


async def test_a_destroy_while_a_save_runs_ends_the_session(site: Site) -> None:
    before = site.browser.tab()
    await site.do(lambda session: while_saving(session, session.destroy))
    assert site.browser.cookies == {}
    assert await site.stored(before) == {}


async def test_a_rotation_while_a_save_runs_takes_place(site: Site) -> None:
    before = site.browser.tab()
    await site.do(lambda session: while_saving(session, session.rotate))
    assert await site.stored(before) == {}
    assert await site.stored() == {"a": 0, "saved": True}


async def test_a_lifetime_set_while_a_save_runs_holds(site: Site) -> None:
    answer = await site.do(lambda session: while_saving(session, lambda: session.set_lifetime(77)))
    assert "Max-Age=77;" in answer.set_cookies[0]


async def test_parallel_saves_save_what_was_set_before_each(site: Site) -> None:
    async def set_and_save(session: Session, number: int) -> None:
        session[f"key {number}"] = number
        await session.save()

    async def act(session: Session) -> None:
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(set_and_save, session, number)
        assert await site.stored(site.browser.tab()) == dict(session)

    await site.do(act)
    assert await site.stored() == {"a": 0, **{f"key {number}": number for number in range(5)}}


def count(data: dict[str, Any]) -> int:
    data["count"] = data.get("count", 0) + 1
    return int(data["count"])


async def test_parallel_atomics_of_a_new_session_make_one_row(clock: FakeClock) -> None:
    site = Site(clock)

    async def act(session: Session) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(session.atomic, count)

    await site.do(act)
    assert await site.stored() == {"count": 5}
    assert site.store.calls.count("create") == 1


async def test_an_atomic_keeps_what_is_changed_while_it_runs(site: Site) -> None:
    async def act(session: Session) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(session.atomic, count)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            session["b"] = 2

    await site.do(act)
    assert await site.stored() == {"a": 0, "count": 1, "b": 2}


@pytest.mark.parametrize("ask", ["destroy", "rotate"])
async def test_what_was_asked_for_stays_asked_when_a_save_fails(site: Site, ask: str) -> None:
    before = site.browser.tab()

    async def act(session: Session) -> None:
        getattr(session, ask)()
        site.store.fails = "delete" if ask == "destroy" else "create"
        with pytest.raises(StoreUnavailable):
            await session.save()

    await site.do(act)
    assert await site.stored(before) == {}
    assert await site.stored() == ({} if ask == "destroy" else {"a": 0})


async def test_what_cant_be_saved_while_a_save_merges_costs_others_nothing(site: Site) -> None:
    async def act(session: Session) -> None:
        async def theirs(session: Session) -> None:
            session["theirs"] = 1

        site.act = theirs
        await site.browser.tab().get("/")
        await while_saving(session, lambda: session.update(a=object()))
        with pytest.raises(NotSerializable):
            await session.save()
        session["a"] = 5

    await site.do(act)
    assert await site.stored() == {"a": 5, "theirs": 1, "saved": True}


async def test_a_stream_behind_basehttpmiddleware_saves_what_it_sets(clock: FakeClock) -> None:
    async def stream(session: Session) -> Response:
        async def body() -> Any:
            await anyio.lowlevel.checkpoint()
            session["streamed"] = 2
            yield b"null"

        session["handled"] = 1
        return StreamingResponse(body())

    class PassOn(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    site = Site(clock)
    site.browser = Browser(site.app)
    site.app.user_middleware.append(Middleware(PassOn))
    await site.do(stream)
    assert await site.stored() == {"handled": 1, "streamed": 2}


async def coroutine_function(data: dict[str, Any]) -> None:
    raise AssertionError("ran")


async def refused_by_type_checkers(session: Session) -> int:
    """Never run: mypy complains of an ignored error that isn't there."""
    await session.atomic(coroutine_function)  # type: ignore[unused-coroutine]
    return await session.atomic(count)


class Later:
    """An awaitable that is no coroutine, as a Future is."""

    def __await__(self) -> Any:
        raise AssertionError("awaited")


class AsyncCall:
    async def __call__(self, data: dict[str, Any]) -> None:
        raise AssertionError("ran")


@pytest.mark.parametrize(
    "fn",
    [
        coroutine_function,
        partial(coroutine_function),
        AsyncCall(),
        lambda data: coroutine_function(data),
        lambda data: Later(),
        lambda data: data.update(b=1) or anyio.Event,
        5,
    ],
    ids=["function", "partial", "object", "lambda", "awaitable", "plain", "number"],
)
async def test_atomic_takes_no_async_function(site: Site, fn: Any, request: pytest.FixtureRequest) -> None:
    async def act(session: Session) -> None:
        if "plain" in request.node.name:
            await session.atomic(fn)
        else:
            with pytest.raises(TypeError, match=r"session\.atomic"):
                await session.atomic(fn)

    site.store.calls.clear()
    await site.do(act)
    assert site.store.calls == (["load", "replace"] if "plain" in request.node.name else ["load"])


async def test_regenerate_id_is_rotate_under_the_name_that_others_look_for(site: Site) -> None:
    before = site.browser.tab()

    async def act(session: Session) -> None:
        session.regenerate_id()

    await site.do(act)
    assert await site.stored(before) == {}
    assert await site.stored() == {"a": 0}


async def test_a_nested_value_that_cant_be_saved_fails_the_request(site: Site) -> None:
    async def begin(session: Session) -> None:
        session["cart"] = []

    async def act(session: Session) -> None:
        session["cart"].append(object())

    await site.do(begin)
    site.store.calls.clear()
    with pytest.raises(NotSerializable, match="cart"):
        await site.do(act)
    assert site.store.calls == ["load"]


# After the response, and after the request


async def test_a_late_write_to_a_new_session_names_the_usual_causes(clock: FakeClock) -> None:
    async def stream(session: Session) -> Response:
        async def body() -> Any:
            session["late"] = 1
            yield b"null"

        return StreamingResponse(body())

    with pytest.raises(SessionNotSaved, match=r"`yield`, a background task, the body of a streamed .* `accept`"):
        await Site(clock).do(stream)


async def test_a_change_after_the_request_warns_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    kept: list[Session] = []

    async def keep(session: Session) -> None:
        kept.append(session)

    await site.do(keep)
    caplog.clear()
    kept[0]["late"] = 1
    kept[0].destroy()
    assert ["after its request was over" in record.message for record in caplog.records] == [True]
