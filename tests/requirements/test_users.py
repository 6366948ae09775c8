"""Users: a new id whenever the user changes, and the sessions of one user listed and revoked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.websockets import WebSocket

from starlette_sessions_ext import (
    ConfigurationError,
    EventKind,
    MemoryStore,
    NotSerializable,
    SessionDirectory,
    SessionError,
    SessionEvent,
    SessionGone,
    SessionInfo,
    SessionMiddleware,
    SessionNotSaved,
    StoreUnavailable,
    get_user,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext._core.owner import owner_of
from starlette_sessions_ext._core.record import Alias, decode
from starlette_sessions_ext._core.sign_in_details import MAX_BYTES, decode_details
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.handlers import logout, put, rotate, view
from ..support.store_wrappers import CountingOwnedStore, CountingStore, WrappedStore
from .conftest import memory_only

Advance = Callable[[float], Awaitable[None]]

pytestmark = pytest.mark.anyio


async def sign_in(request: Request) -> Any:
    """/in?user=42&key=value"""
    values = dict(request.query_params)
    user = values.pop("user")
    request.state.session["user"] = int(user) if user.isdigit() else user
    request.state.session.update(values)
    return {}


async def sign_out(request: Request) -> Any:
    del request.state.session["user"]
    return {}


async def prove(request: Request) -> Any:
    request.state.session.reauthenticated()
    return {}


async def facts(request: Request) -> Any:
    session = request.state.session
    return {name: getattr(session, name) for name in ("public_id", "signed_in_at", "created_at")}


HANDLERS = {
    "/": view,
    "/put": put,
    "/in": sign_in,
    "/out": sign_out,
    "/logout": logout,
    "/rotate": rotate,
    "/prove": prove,
    "/facts": facts,
}


@pytest.fixture
def owned(store: CountingStore) -> CountingOwnedStore:
    return CountingOwnedStore(store.store)


def app_of(owned: CountingOwnedStore, clock: FakeClock, **options: Any) -> Any:
    return make_app(owned, {**HANDLERS, **options.pop("handlers", {})}, clock=clock, **{"user": "user", **options})


def id_of(browser: Browser) -> str:
    return browser.cookies["session"][:32]


def directory_of(owned: CountingOwnedStore, clock: FakeClock) -> SessionDirectory:
    return SessionDirectory(owned, clock=clock)


async def test_the_id_is_rotated_whenever_the_user_changes(owned: CountingOwnedStore, clock: FakeClock) -> None:
    browser = Browser(app_of(owned, clock))
    await browser.get("/put?cart=1")
    anonymous = browser.tab()
    name = (await browser.get("/facts")).json()["public_id"]
    await browser.get("/in?user=42")
    signed_in = browser.tab()
    assert id_of(signed_in) != id_of(anonymous)
    assert (await browser.get("/")).json() == {"cart": "1", "user": 42}, "what an anonymous visitor did stays"
    assert (await browser.get("/facts")).json()["public_id"] == name
    await browser.get("/put?cart=2")
    assert id_of(browser) == id_of(signed_in), "no other write rotates"
    await browser.get("/out")
    assert id_of(browser) != id_of(signed_in)
    assert (await browser.get("/")).json() == {"cart": "2"}
    for old in (anonymous, signed_in):
        assert (await old.get("/")).json() == {}


async def test_nothing_of_one_user_enters_the_session_of_the_next(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def switch(request: Request) -> Any:
        session = request.state.session
        session["user"] = "bob"
        session["theme"] = "dark"
        await Browser(app, cookies=dict(browser.cookies)).get("/put?role=admin")  # a parallel request of ann's
        await session.save()
        return dict(session)

    app = app_of(owned, clock, handlers={"/switch": switch})
    browser = Browser(app)
    await browser.get("/in?user=ann&card=4711")
    before = browser.tab()
    ann = (await browser.get("/facts")).json()
    assert (await browser.get("/switch")).json() == {"user": "bob", "theme": "dark"}
    assert (await browser.get("/")).json() == {"user": "bob", "theme": "dark"}
    assert (await browser.get("/facts")).json()["public_id"] != ann["public_id"], "it is another session"
    assert (await before.get("/")).json() == {}
    assert await directory_of(owned, clock).count("ann") == 0


@pytest.mark.parametrize("way", ["item", "update", "or", "default"])
async def test_what_the_next_user_is_given_stays_also_if_the_former_had_the_same(
    owned: CountingOwnedStore, clock: FakeClock, way: str
) -> None:
    async def switch(request: Request) -> Any:
        session = request.state.session
        session["user"] = "bob"
        if way == "item":
            session["role"] = "member"
        elif way == "update":
            session.update(role="member")
        elif way == "or":
            session |= {"role": "member"}
        else:
            session.pop("role")
            session.setdefault("role", "member")

    browser = Browser(app_of(owned, clock, handlers={"/switch": switch}))
    await browser.get("/in?user=ann&role=member&card=4711")
    await browser.get("/switch")
    assert (await browser.get("/")).json() == {"user": "bob", "role": "member"}


@memory_only
async def test_a_session_says_whose_it_is(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def who(request: Request) -> Any:
        return get_user(request)

    browser = Browser(app_of(owned, clock, handlers={"/who": who}))
    assert (await browser.get("/who")).json() is None
    await browser.get("/in?user=42")
    assert (await browser.get("/who")).json() == "42"
    browser.app = make_app(owned, {"/who": who}, clock=clock)
    with pytest.raises(ConfigurationError, match='the option user, such as user="user_id"'):
        await browser.get("/who")


@memory_only
async def test_how_long_ago_the_user_signed_in(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def age(request: Request) -> Any:
        return request.state.session.sign_in_age

    browser = Browser(app_of(owned, clock, handlers={"/age": age}))
    await browser.get("/put?cart=1")
    assert (await browser.get("/age")).json() is None, "nobody has"
    await browser.get("/in?user=42")
    clock.advance(30)
    assert (await browser.get("/age")).json() == 30


async def test_a_destroyed_session_isnt_rotated(owned: CountingOwnedStore, clock: FakeClock) -> None:
    browser = Browser(app_of(owned, clock))
    await browser.get("/in?user=42")
    owned.calls.clear()
    await browser.get("/logout")
    assert owned.calls == ["load", "delete"]
    assert browser.cookies == {}


async def test_a_sign_in_with_an_id_replaced_a_moment_ago_begins_anew(
    owned: CountingOwnedStore, clock: FakeClock
) -> None:
    browser = Browser(app_of(owned, clock))
    await browser.get("/put?a=1")
    late = browser.tab()
    await browser.get("/rotate")
    await late.get("/in?user=42")
    assert (await late.get("/")).json() == {"user": 42}


@pytest.mark.parametrize("path", ["/in?user=42", "/prove"])
async def test_when_the_user_signed_in(owned: CountingOwnedStore, clock: FakeClock, path: str) -> None:
    browser = Browser(app_of(owned, clock))
    await browser.get("/put?a=1")
    assert (await browser.get("/facts")).json()["signed_in_at"] is None
    await browser.get("/in?user=41")
    clock.advance(100)
    await browser.get("/rotate")
    await browser.get("/put?a=2")
    assert (await browser.get("/facts")).json()["signed_in_at"] == int(clock()) - 100
    before = id_of(browser)
    await browser.get(path)
    assert (await browser.get("/facts")).json()["signed_in_at"] == int(clock())
    assert id_of(browser) != before
    await browser.get("/out")
    assert (await browser.get("/facts")).json()["signed_in_at"] is None


@memory_only
async def test_without_a_user_nobody_can_have_proven_anything(owned: CountingOwnedStore, clock: FakeClock) -> None:
    browser = Browser(app_of(owned, clock))
    with pytest.raises(SessionError, match="needs a user"):
        await browser.get("/prove")


async def test_reads_and_writes_cost_no_more_calls(owned: CountingOwnedStore, clock: FakeClock) -> None:
    browser = Browser(app_of(owned, clock))
    await browser.get("/in?user=42")
    owned.calls.clear()
    await browser.get("/")
    assert owned.calls == ["load"]
    await browser.get("/put?a=1")
    assert owned.calls == ["load", "load", "replace"]


async def test_the_sessions_of_a_user_are_listed(owned: CountingOwnedStore, clock: FakeClock, advance: Advance) -> None:
    async def devices(request: Request) -> Any:
        session = request.state.session
        return [vars_of(info) for info in await session.directory.list(session["user"], current=session)]

    def vars_of(info: SessionInfo) -> dict[str, Any]:
        return {name: getattr(info, name) for name in SessionInfo.__slots__}

    app = app_of(owned, clock, handlers={"/devices": devices}, touch_interval=1)
    start = int(clock())
    phone, laptop, stranger = Browser(app), Browser(app), Browser(app)
    await phone.get("/in?user=42", headers=[(b"user-agent", b"a phone")])
    await stranger.get("/in?user=43")
    await advance(50)
    await laptop.get("/in?user=42", headers=[(b"user-agent", b"a laptop")])
    await advance(50)
    await laptop.get("/")
    mine, other = (await laptop.get("/devices")).json()
    assert mine["is_current"]
    assert not other["is_current"]
    assert [one["details"]["user_agent"] for one in (mine, other)] == ["a laptop", "a phone"]
    assert (mine["signed_in_at"], mine["last_used_at"]) == (start + 50, start + 100)
    assert (other["signed_in_at"], other["last_used_at"], other["created_at"]) == (start, start, start)
    directory = directory_of(owned, clock)
    assert await directory.count(42) == await directory.count("42") == 2
    assert await directory.count("4") == 0
    assert [info.public_id for info in await directory.list(43)] != [mine["public_id"]]


async def test_one_session_is_revoked(owned: CountingOwnedStore, clock: FakeClock) -> None:
    app = app_of(owned, clock)
    kept, revoked = Browser(app), Browser(app)
    for browser in (kept, revoked):
        await browser.get("/in?user=42")
    name = (await revoked.get("/facts")).json()["public_id"]
    directory = directory_of(owned, clock)
    assert not await directory.revoke(43, name), "it isn't theirs"
    assert not await directory.revoke(42, "0" * 16)
    assert await directory.revoke(42, name)
    assert not await directory.revoke(42, name)
    assert (await revoked.get("/")).json() == {}
    assert (await kept.get("/")).json() == {"user": 42}


async def test_a_revocation_is_as_final_as_a_logout(owned: CountingOwnedStore, clock: FakeClock) -> None:
    events: list[SessionEvent] = []

    async def slow(request: Request) -> Any:
        request.state.session["late"] = "1"
        await directory.revoke_all(42)
        return {}

    directory = directory_of(owned, clock)
    browser = Browser(app_of(owned, clock, handlers={"/slow": slow}, on_event=events.append))
    await browser.get("/in?user=42")
    tab = browser.tab()
    await browser.get("/slow")
    assert events[-1].kind is EventKind.WRITE_DROPPED
    assert (await tab.get("/")).json() == {}
    assert await directory.count(42) == 0


async def test_all_sessions_but_this_one_are_revoked(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def revoke_others(request: Request) -> Any:
        session = request.state.session
        return await session.directory.revoke_all(session["user"], keep=session)

    app = app_of(owned, clock, handlers={"/others": revoke_others})
    browsers = [Browser(app) for _ in range(4)]
    for browser in browsers:
        await browser.get("/in?user=42")
    stranger = Browser(app)
    await stranger.get("/in?user=43")
    assert (await browsers[0].get("/others")).json() == 3
    assert [(await browser.get("/")).json() for browser in browsers] == [{"user": 42}, {}, {}, {}]
    assert (await stranger.get("/")).json() == {"user": 43}
    assert await directory_of(owned, clock).revoke_all("42") == 1


class Overtaken(CountingOwnedStore):
    """Does something the first time after it has looked which rows an owner has."""

    first: Callable[[], Awaitable[None]] | None = None

    async def keys_of(self, owner: str) -> list[str]:
        keys = await super().keys_of(owner)
        if self.first is not None:
            first, self.first = self.first, None
            await first()
        return keys

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        """In two steps, as stores do that remove rows in batches."""
        keys = await self.keys_of(owner)
        return sum([await self.store.delete(key) for key in keys if key != keep])


@pytest.mark.parametrize("way", ["one", "all"])
@pytest.mark.parametrize("path", ["/rotate", "/prove"])
async def test_a_session_that_moves_while_it_is_revoked_is_found(
    owned: CountingOwnedStore, clock: FakeClock, way: str, path: str
) -> None:
    store = Overtaken(owned.store)
    browser = Browser(app_of(store, clock))
    await browser.get("/in?user=42")
    name = (await browser.get("/facts")).json()["public_id"]

    async def move() -> None:
        await browser.get(path)

    store.first = move
    directory = directory_of(store, clock)
    assert await (directory.revoke(42, name) if way == "one" else directory.revoke_all(42))
    assert (await browser.get("/")).json() == {}
    assert await directory.count(42) == 0


async def test_sign_ins_beyond_the_limit_end_the_session_unused_for_longest(
    owned: CountingOwnedStore, clock: FakeClock, advance: Advance
) -> None:
    app = app_of(owned, clock, max_sessions_per_user=2, touch_interval=1)
    first, second, third, stranger = (Browser(app) for _ in range(4))
    await stranger.get("/in?user=43")
    for browser in (first, second):
        await browser.get("/in?user=42")
        await advance(10)
    await first.get("/")  # a use
    await third.get("/in?user=42")
    data = [(await browser.get("/")).json() for browser in (first, second, third, stranger)]
    assert data == [{"user": 42}, {}, {"user": 42}, {"user": 43}]


@memory_only
async def test_a_sign_in_by_atomic_ends_the_oldest_as_well(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def sign_in(request: Request) -> Any:
        await request.state.session.atomic(lambda data: data.update(user=42))

    app = app_of(owned, clock, max_sessions_per_user=1, handlers={"/atomic": sign_in})
    first, second = Browser(app), Browser(app)
    for browser in (first, second):
        await browser.get("/atomic")
        clock.advance(1)
    assert [(await browser.get("/")).json() for browser in (first, second)] == [{}, {"user": 42}]


@memory_only
async def test_a_session_whose_rotation_was_cut_short_is_one(owned: CountingOwnedStore, clock: FakeClock) -> None:
    """Two rows hold it: the client's, and one under an id that nobody has."""
    app = app_of(owned, clock, max_sessions_per_user=2)
    first, second = Browser(app), Browser(app)
    await first.get("/in?user=42")
    [key] = await owned.keys_of(owner_of("42"))
    row = await owned.load(key)
    assert row is not None
    decoded = decode(row.data, key)
    assert not isinstance(decoded, Alias)
    header, body = decoded
    left = key_of(new_id())
    data = header._replace(key=left).encode("0" * 16, body)
    await owned.create(left, data, row.expires_at + 60, owner_of("42"))
    directory = directory_of(owned, clock)
    assert (await directory.count(42), len(await directory.list(42))) == (1, 1)
    clock.advance(1)
    await second.get("/in?user=42")
    assert [(await browser.get("/")).json() for browser in (first, second)] == [{"user": 42}] * 2
    clock.advance(100)
    for _ in range(2):
        await Browser(app).get("/in?user=42")
    assert (await first.get("/")).json() == {}
    assert len(await owned.keys_of(owner_of("42"))) == 2, "both rows are gone"


async def test_parallel_sign_ins_leave_as_many_as_are_allowed(owned: CountingOwnedStore, clock: FakeClock) -> None:
    app = app_of(owned, clock, max_sessions_per_user=3)
    browsers = [Browser(app) for _ in range(12)]
    async with anyio.create_task_group() as group:
        for browser in browsers:
            group.start_soon(browser.get, "/in?user=42")
    alive = [browser for browser in browsers if (await browser.get("/")).json()]
    assert len(alive) == await directory_of(owned, clock).count(42) == 3


async def test_parallel_sign_ins_and_a_revocation_leave_those_after_it(
    owned: CountingOwnedStore, clock: FakeClock
) -> None:
    app = app_of(owned, clock)
    browsers = [Browser(app) for _ in range(50)]
    directory = directory_of(owned, clock)
    async with anyio.create_task_group() as group:
        for number, browser in enumerate(browsers):
            group.start_soon(browser.get, "/in?user=42")
            if number == 25:
                group.start_soon(directory.revoke_all, 42)
    alive = [browser for browser in browsers if (await browser.get("/")).json()]
    assert len(alive) == await directory.count(42)
    await directory.revoke_all(42)
    after = Browser(app)
    await after.get("/in?user=42")
    assert [bool((await browser.get("/")).json()) for browser in browsers] == [False] * 50
    assert (await after.get("/")).json() == {"user": 42}


async def test_a_session_of_before_the_option_is_found_after_one_use(
    owned: CountingOwnedStore, clock: FakeClock
) -> None:
    before = make_app(owned, HANDLERS, clock=clock)
    browser = Browser(before)
    await browser.get("/in?user=42")
    directory = directory_of(owned, clock)
    assert await directory.count(42) == 0
    clock.advance(5)
    browser.app = app_of(owned, clock)
    await browser.get("/")
    [info] = await directory.list(42)
    assert info.signed_in_at == int(clock()) - 5
    owned.calls.clear()
    await browser.get("/")
    assert owned.calls == ["load"], "once is enough"


@memory_only
async def test_a_session_whose_user_cant_be_one_can_be_read_and_not_written(
    owned: CountingOwnedStore, clock: FakeClock
) -> None:
    async def odd(request: Request) -> Any:
        request.state.session["user"] = [1]

    browser = Browser(make_app(owned, {"/odd": odd}, clock=clock))
    await browser.get("/odd")
    browser.app = app_of(owned, clock)
    assert (await browser.get("/")).json() == {"user": [1]}
    with pytest.raises(NotSerializable, match="the session's user is a list"):
        await browser.get("/put?a=1")


@memory_only
async def test_a_row_that_is_no_session_isnt_listed(owned: CountingOwnedStore, clock: FakeClock) -> None:
    browser = Browser(app_of(owned, clock))
    await browser.get("/in?user=42")
    other = key_of("x" * 32)
    assert await owned.create(other, b"no session", int(clock()) + 60, owner_of("42"))
    directory = directory_of(owned, clock)
    assert len(await directory.list(42)) == 1
    assert await directory.revoke_all(42) == 2, "it goes with the others"


@memory_only
async def test_a_session_that_ends_while_it_is_listed_isnt_listed(owned: CountingOwnedStore, clock: FakeClock) -> None:
    store = Overtaken(owned.store)
    browser = Browser(app_of(store, clock))
    await browser.get("/in?user=42")

    async def end() -> None:
        await browser.get("/logout")

    store.first = end
    middleware = SessionMiddleware(browser.app, "a secret of 16 bytes", store=store, user="user", clock=clock)
    assert await middleware.directory.list(42) == []


class WithoutLists(CountingOwnedStore):
    async def keys_of(self, owner: str) -> list[str]:
        raise StoreUnavailable("the server is away")


@memory_only
async def test_a_limit_that_cant_be_kept_costs_no_sign_in(
    owned: CountingOwnedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Browser(app_of(WithoutLists(owned.store), clock, max_sessions_per_user=1))
    await browser.get("/in?user=42")
    assert (await browser.get("/")).json() == {"user": 42}
    assert "max_sessions_per_user couldn't be ended" in caplog.text


@memory_only
@pytest.mark.parametrize("details", [None, "e30", "!", "W10", "bm9uc2Vuc2U"])
async def test_details_that_cant_be_read_are_none(owned: CountingOwnedStore, details: str | None) -> None:
    assert decode_details(details) == {}


async def test_a_socket_learns_of_a_revocation(owned: CountingOwnedStore, clock: FakeClock) -> None:
    said: list[Any] = []

    async def talk(websocket: WebSocket) -> None:
        session = websocket.state.session
        await websocket.accept()
        await session.save()
        await directory.revoke_all(42)
        try:
            await session.save()
        except SessionGone:
            said.append("gone")
        await websocket.close()

    directory = directory_of(owned, clock)
    app = make_app(owned, HANDLERS, {"/talk": talk}, clock=clock, user="user")
    browser = Browser(app)
    await browser.get("/in?user=42")
    await browser.connect("/talk")
    assert said == ["gone"]


@memory_only
async def test_after_the_response_a_user_can_leave_but_not_enter(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def late(request: Request) -> Any:
        async def body() -> Any:
            yield b""
            if "out" in request.query_params:
                del request.state.session["user"]
            else:
                request.state.session["user"] = request.query_params["user"]

        return StreamingResponse(body())

    browser = Browser(app_of(owned, clock, handlers={"/late": late}))
    await browser.get("/put?a=1")
    with pytest.raises(SessionNotSaved):
        await browser.get("/late?user=42")
    await browser.get("/in?user=42")
    with pytest.raises(SessionNotSaved):
        await browser.get("/late?user=43")
    assert (await browser.get("/")).json() == {"a": "1", "user": 42}, "nothing was done by halves"
    await browser.get("/late?out=1")
    assert (await browser.get("/")).json() == {"a": "1"}
    assert await directory_of(owned, clock).count(42) == 0


@memory_only
@pytest.mark.parametrize("way", ["a proof", "the first use with the option"])
async def test_a_user_who_leaves_in_a_parallel_request_is_out(
    owned: CountingOwnedStore, clock: FakeClock, way: str
) -> None:
    """A sign-out after the response takes no new id, so that the slower request's save merges with it."""

    async def leave(request: Request) -> Any:
        async def body() -> Any:
            yield b""
            del request.state.session["user"]

        return StreamingResponse(body())

    async def be_overtaken(request: Request) -> Any:
        if way == "a proof":
            request.state.session.reauthenticated()
        request.state.session["b"] = "2"
        await other.get("/leave")

    handlers = {"/leave": leave, "/slow": be_overtaken}
    app = app_of(owned, clock, handlers=handlers, max_sessions_per_user=1)
    before = make_app(owned, {**HANDLERS, **handlers}, clock=clock)
    browser = Browser(app if way == "a proof" else before)
    await browser.get("/in?user=42&a=1")
    other = browser.tab()
    browser.app = app
    assert (await browser.get("/slow")).status == 200
    assert (await browser.get("/")).json() == {"a": "1", "b": "2"}
    assert await directory_of(owned, clock).count(42) == 0


@memory_only
async def test_atomic_cant_change_the_user(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def swap(request: Request) -> Any:
        await request.state.session.atomic(lambda data: data.update(user=43))

    async def begin(request: Request) -> Any:
        await request.state.session.atomic(lambda data: data.update(user=43))

    browser = Browser(app_of(owned, clock, handlers={"/swap": swap, "/begin": begin}))
    await browser.get("/in?user=42")
    with pytest.raises(SessionError, match="can't change whose session it is"):
        await browser.get("/swap")
    assert (await browser.get("/")).json() == {"user": 42}
    fresh = Browser(browser.app)
    await fresh.get("/begin")
    assert await directory_of(owned, clock).count(43) == 1, "a new session may begin so"


@memory_only
async def test_an_error_page_after_a_change_of_user_saves_as_configured(
    owned: CountingOwnedStore, clock: FakeClock
) -> None:
    async def refuse(request: Request) -> Any:
        request.state.session["user"] = 42
        return JSONResponse({}, 403)

    for save_if, saved in ((None, {"user": 42}), (lambda status: status < 400, {})):
        browser = Browser(app_of(owned, clock, handlers={"/refuse": refuse}, save_if=save_if))
        await browser.get("/refuse")
        assert (await browser.get("/")).json() == saved


@memory_only
@pytest.mark.parametrize("value", [True, 1.5, "", [1], {"id": 1}], ids=str)
async def test_what_cant_be_a_user_is_refused(owned: CountingOwnedStore, clock: FakeClock, value: Any) -> None:
    async def odd(request: Request) -> Any:
        request.state.session["user"] = value

    browser = Browser(app_of(owned, clock, handlers={"/odd": odd}))
    with pytest.raises(NotSerializable, match="the session's user is a"):
        await browser.get("/odd")
    with pytest.raises(TypeError, match="a user is"):
        await directory_of(owned, clock).list(value)


@memory_only
async def test_a_function_may_say_whose_session_it_is(owned: CountingOwnedStore, clock: FakeClock) -> None:
    def user(data: Any) -> Any:
        return data.get("account", {}).get("id")

    async def enter(request: Request) -> Any:
        request.state.session["account"] = {"id": 42}

    browser = Browser(app_of(owned, clock, handlers={"/enter": enter}, user=user))
    await browser.get("/put?a=1")
    before = id_of(browser)
    await browser.get("/enter")
    assert id_of(browser) != before
    assert await directory_of(owned, clock).count(42) == 1


@memory_only
@pytest.mark.parametrize(
    ("describe", "details"),
    [
        (lambda scope: {"path": scope["path"]}, {"path": "/in"}),
        (lambda scope: {}, {}),
        (lambda scope: 1 / 0, {}),
        (lambda scope: {"a": {1, 2}}, {}),
        (lambda scope: {"a": "x" * MAX_BYTES}, {}),
        (lambda scope: {"name": "Zoë"}, {"name": "Zoë"}),
    ],
)
async def test_what_is_kept_of_a_sign_in(
    owned: CountingOwnedStore, clock: FakeClock, describe: Any, details: Any
) -> None:
    browser = Browser(app_of(owned, clock, describe=describe))
    await browser.get("/in?user=42")
    await browser.get("/put?a=1")
    [info] = await directory_of(owned, clock).list(42)
    assert info.details == details
    assert json.dumps(details) not in repr(info) or not details


@memory_only
async def test_events_name_session_and_owner(owned: CountingOwnedStore, clock: FakeClock) -> None:
    events: list[SessionEvent] = []
    browser = Browser(app_of(owned, clock, on_event=events.append))
    await browser.get("/in?user=42")
    await browser.get("/rotate")
    assert {event.public_id for event in events} == {(await browser.get("/facts")).json()["public_id"]}
    assert {event.owner for event in events} == {owner_of("42")}
    found = decode((await owned.store.load(key_of(id_of(browser)))).data, key_of(id_of(browser)))  # type: ignore[union-attr]
    assert not isinstance(found, Alias)
    assert found[0].public_id == events[0].public_id


@memory_only
async def test_options_that_cant_work(owned: CountingOwnedStore) -> None:
    class Plain(WrappedStore):
        pass

    async def user(data: Any) -> Any: ...

    for option in ("", 5, user, None):
        with pytest.raises(ConfigurationError, match="user"):
            SessionMiddleware(make_app(owned, {}), "a secret of 16 bytes", store=owned, user=option).directory  # type: ignore[arg-type] # noqa: B018
    with pytest.raises(ConfigurationError, match="Plain doesn't find the sessions of a user"):
        SessionMiddleware(make_app(owned, {}), "a secret of 16 bytes", store=Plain(MemoryStore()), user="user")
    for limit in (0, -1, 1.5, True, "2"):
        with pytest.raises(ConfigurationError, match="max_sessions_per_user"):
            make_app(owned, {}, user="user", max_sessions_per_user=limit).build_middleware_stack()
    with pytest.raises(ConfigurationError, match="max_sessions_per_user"):
        make_app(owned, {}, max_sessions_per_user=2).build_middleware_stack()


@memory_only
async def test_without_the_option_there_is_no_directory(owned: CountingOwnedStore, clock: FakeClock) -> None:
    async def look(request: Request) -> Any:
        return request.state.session.directory

    browser = Browser(make_app(owned, {"/": look}, clock=clock))
    with pytest.raises(ConfigurationError, match='the option user, such as user="user_id"'):
        await browser.get("/")
