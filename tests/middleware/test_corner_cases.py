"""Corner cases of the core, where a change, a logout or a cookie could get lost."""

from __future__ import annotations

import asyncio
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from itsdangerous import TimestampSigner
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from starlette_sessions_ext import (
    JSONSerializer,
    MemoryStore,
    Session,
    SessionMiddleware,
    SessionStore,
    SQLiteStore,
    StarletteCookie,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of
from starlette_sessions_ext._core.write_queues import WriteQueues
from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext._http.stray_cookies import removals
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Browser, make_app
from ..support.store_wrappers import CountingStore, WrappedStore

pytestmark = pytest.mark.anyio

Act = Callable[[Session], Awaitable[Any]]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SessionStore]:
    made: SessionStore
    if request.param == "memory":
        made = MemoryStore(clock=clock)
    else:
        made = SQLiteStore(tmp_path / "sessions.db", timeout=30, clock=clock)
    async with made:
        yield made


class Site:
    """A browser, and handlers that each test gives."""

    def __init__(self, store: SessionStore, clock: FakeClock, **options: Any) -> None:
        self.store = store
        self.app = make_app(store, {"/": self._handle, "/view": self._view}, clock=clock, **options)
        self.browser = Browser(self.app)
        self.act: Act | None = None

    async def do(self, act: Act, browser: Browser | None = None, **how: Any) -> Any:
        self.act = act
        return await (browser or self.browser).get("/", **how)

    async def put(self, browser: Browser | None = None, **data: Any) -> Any:
        async def act(session: Session) -> None:
            session.update(data)

        return await self.do(act, browser)

    async def view(self, browser: Browser | None = None) -> Any:
        return (await (browser or self.browser).get("/view")).json()

    async def _handle(self, request: Request) -> Any:
        assert self.act is not None
        result = await self.act(request.scope["session"])
        return result if isinstance(result, Response) else None

    async def _view(self, request: Request) -> Any:
        return dict(request.state.session)


@pytest.fixture
def site(store: SessionStore, clock: FakeClock) -> Site:
    return Site(store, clock)


# Logout undone: a session that a merge has emptied keeps its data in memory, and is made anew from it


@pytest.mark.parametrize("how", ["save", "rotate"])
async def test_a_user_deleted_in_parallel_stays_deleted_when_the_merge_empties_the_session(
    site: Site, how: str
) -> None:
    """theirs: del user; mine: del flash, save, set a key. The store has neither; only the key may begin anew."""
    await site.put(user="alice", flash="hello")

    async def sign_out(session: Session) -> None:
        del session["user"]

    async def act(session: Session) -> None:
        await site.do(sign_out, site.browser.tab())
        del session["flash"]
        if how == "rotate":
            session.rotate()
        await session.save()
        session["seen"] = 1

    await site.do(act)
    assert await site.view() == {"seen": 1}


async def test_after_a_merge_that_empties_it_the_session_is_empty(site: Site) -> None:
    """What the handler sees after save() is what is stored: nothing."""
    await site.put(user="alice", flash="hello")
    seen = []

    async def sign_out(session: Session) -> None:
        del session["user"]

    async def act(session: Session) -> None:
        await site.do(sign_out, site.browser.tab())
        del session["flash"]
        await session.save()
        seen.append(dict(session))

    await site.do(act)
    assert seen == [{}]


# A touch that comes after a renewal or an end moves the alias's expiry, which then counts as "clock set back"


class PausingStore(WrappedStore):
    """Runs `between` once, just before the call that `at` names."""

    at: str | None = None
    between: Callable[[], Awaitable[Any]] | None = None

    async def before(self, call: str) -> None:
        if call == self.at and self.between is not None:
            between, self.between = self.between, None
            await between()


async def touch_after(site: Site, store: PausingStore, act: Act, clock: FakeClock) -> Browser:
    """Let `act` run between a mere use's decision to touch and its touch. Return a browser with the old id."""
    await site.put(user="alice")
    clock.advance(2 * 24 * 3600)  # a touch is due
    old = site.browser.tab()
    parallel = site.browser.tab()
    store.at, store.between = "touch", lambda: site.do(act, parallel)
    await site.view(site.browser.tab())
    assert store.between is None
    site.browser.cookies = parallel.cookies
    return old


async def test_a_touch_during_a_renewal_leaves_the_old_id_its_grace(store: SessionStore, clock: FakeClock) -> None:
    """renew(grace=60) promises that the old id leads to the session for 60 s; a touch must not end that."""
    pausing = PausingStore(store)
    site = Site(pausing, clock, max_age=None)

    async def renew(session: Session) -> None:
        session.renew(grace=60)

    old = await touch_after(site, pausing, renew, clock)
    assert await site.view(old) == {"user": "alice"}


@pytest.mark.parametrize("end", ["rotate", "clear"])
async def test_a_touch_during_a_rotation_leaves_late_requests_late(
    store: SessionStore, clock: FakeClock, end: str
) -> None:
    """A request with the replaced id must not be given a cookie, which would replace the new one."""
    pausing = PausingStore(store)
    site = Site(pausing, clock, max_age=None)

    async def sign_in(session: Session) -> None:
        session.rotate() if end == "rotate" else session.clear()
        session["user"] = "bob"

    old = await touch_after(site, pausing, sign_in, clock)
    answer = await site.put(old, seen=1)
    assert answer.set_cookies == []


# 64 KB of path and two cookies that anybody can get: a gigabyte and seconds of a blocked loop


def test_removals_for_a_long_path_take_little_memory() -> None:
    """Only MAX_REMOVALS lines are sent, so no more may be made: 20 KB of path take 200 MB here."""
    cookie = SessionCookie("session", SECRET)
    scope = {"type": "http", "path": "/a" * 10_000, "headers": [(b"host", b"example.com")]}
    tracemalloc.start()
    removals(cookie, scope, secure=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_removals_for_a_long_host_take_little_memory_and_short_lines() -> None:
    """A host name has 253 characters at most; a longer one names no place that a browser knows."""
    cookie = SessionCookie("session", SECRET)
    scope = {"type": "http", "path": "/", "headers": [(b"host", b"a." * 4000 + b"com")]}
    lines = removals(cookie, scope, secure=False)
    assert max(map(len, lines), default=0) < 1000


# A handler for a failed save that saves again: the new id's cookie isn't sent


class FailingStore(CountingStore):
    """Raises once at the next call of each name in `fails`."""

    def __init__(self, store: SessionStore) -> None:
        super().__init__(store)
        self.fails: list[str] = []

    async def before(self, call: str) -> None:
        await super().before(call)
        if call in self.fails:
            self.fails.remove(call)
            raise StoreUnavailable("the server is away")


async def retried(store: FailingStore, clock: FakeClock, cookies: dict[str, str], act: Act) -> Browser:
    """The response's save fails; a middleware of the application saves again, and answers 409."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await act(scope["session"])
        try:
            await JSONResponse(None)(scope, receive, send)
        except StoreUnavailable:
            await scope["session"].save()
            await JSONResponse({"saved": True}, status_code=409)(scope, receive, send)

    browser = Browser(SessionMiddleware(app, SECRET, store=store, clock=clock), cookies=dict(cookies))
    store.fails = ["create"]
    assert (await browser.get("/")).status == 409
    return browser


async def test_a_new_session_that_an_error_handler_saves_gets_its_cookie(store: SessionStore, clock: FakeClock) -> None:
    """save() returned, so the session has to be reachable: its cookie goes with the error page."""
    failing = FailingStore(store)
    site = Site(failing, clock)

    async def act(session: Session) -> None:
        session["user"] = "alice"

    site.browser.cookies = (await retried(failing, clock, {}, act)).cookies
    assert await site.view() == {"user": "alice"}


async def test_a_rotation_that_an_error_handler_repeats_gets_its_cookie(store: SessionStore, clock: FakeClock) -> None:
    """The old id is worthless after the save, so the new one's cookie has to go out: else the user is signed out."""
    failing = FailingStore(store)
    site = Site(failing, clock)
    await site.put(cart=1)

    async def act(session: Session) -> None:
        session["user"] = "alice"
        session.rotate()

    site.browser.cookies = (await retried(failing, clock, site.browser.cookies, act)).cookies
    assert await site.view() == {"cart": 1, "user": "alice"}


async def test_after_an_error_page_no_new_id_can_be_handed_out(store: SessionStore, clock: FakeClock) -> None:
    """The headers are out, so that a save that would need a cookie has to raise, as in any late write."""
    failing = FailingStore(store)
    outcome: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        session["user"] = "alice"
        start = {"type": "http.response.start", "status": 200, "headers": []}
        try:
            await send(start)
        except StoreUnavailable:
            await send({**start, "status": 500})
            await send({"type": "http.response.body", "body": b""})
            try:
                await session.save()
                outcome.append("saved")
            except Exception as error:
                outcome.append(type(error).__name__)

    failing.fails = ["create"]
    await Browser(SessionMiddleware(app, SECRET, store=failing, clock=clock)).get("/")
    assert outcome == ["SessionNotSaved"]


# Nested changes that are lost without an error


async def test_a_list_held_over_a_save_that_refreshes_stays_the_sessions(site: Site, clock: FakeClock) -> None:
    """A socket keeps its cart; a parallel request adds to it; what the socket adds afterwards must not vanish."""
    await site.put(cart=["tea"])

    async def add(session: Session) -> None:
        session["cart"].append("milk")

    async def talk(socket: WebSocket) -> None:
        session = socket.scope["session"]
        cart = session["cart"]
        await socket.accept()
        await site.do(add, site.browser.tab())
        await session.save()
        cart.append("sugar")
        await session.save()
        await socket.close()

    app = make_app(site.store, {"/view": site._view}, {"/talk": talk}, clock=clock)
    browser = Browser(app, cookies=dict(site.browser.cookies))
    await browser.connect("/talk")
    assert await site.view(browser) == {"cart": ["tea", "milk", "sugar"]}


async def test_a_list_held_over_a_save_that_merges_stays_the_sessions(site: Site) -> None:
    """The same in one request: a save of another key takes their cart over, and mine is cut off."""
    await site.put(cart=["tea"])

    async def add(session: Session) -> None:
        session["cart"].append("milk")

    async def act(session: Session) -> None:
        cart = session["cart"]
        await site.do(add, site.browser.tab())
        session["a"] = 1
        await session.save()
        cart.append("sugar")

    await site.do(act)
    assert await site.view() == {"cart": ["tea", "milk", "sugar"], "a": 1}


@pytest.mark.parametrize("view", ["values", "items"])
async def test_a_view_kept_over_a_merge_hands_out_lists_that_are_saved(site: Site, view: str) -> None:
    """The view was made while there were only numbers; the merge brings a list, which the view hands out."""
    await site.put(n=1)

    async def act(session: Session) -> None:
        kept = getattr(session, view)()
        await site.put(site.browser.tab(), cart=["tea"])
        session["n"] = 2
        await session.save()
        for found in kept:
            value = found[1] if view == "items" else found
            if isinstance(value, list):
                value.append("milk")

    await site.do(act)
    assert await site.view() == {"n": 2, "cart": ["tea", "milk"]}


# Late requests that aren't known as late


async def test_what_follows_a_saved_destroy_is_not_replaced_by_a_late_request(site: Site) -> None:
    """destroy(); save(); sign in: a slower request with the old id must not replace the new cookie."""
    await site.put(user="alice")
    old = site.browser.tab()

    async def act(session: Session) -> None:
        session.destroy()
        await session.save()
        session["user"] = "bob"

    await site.do(act)
    answer = await site.put(old, seen=1)
    assert answer.set_cookies == []


async def test_what_follows_an_atomic_after_destroy_is_not_replaced_by_a_late_request(site: Site) -> None:
    """atomic() commits the destroy first, with nothing put in yet."""
    await site.put(user="alice")
    old = site.browser.tab()

    async def act(session: Session) -> None:
        session.destroy()
        await session.atomic(lambda data: data.update(user="bob"))

    await site.do(act)
    answer = await site.put(old, seen=1)
    assert answer.set_cookies == []


async def test_a_late_request_with_another_middlewares_cookie_leaves_the_new_cookie_alone(
    store: SessionStore, clock: FakeClock
) -> None:
    """The cookie became a session, which signed in and was rotated: a slower request with it is late."""
    legacy = "L" * 20
    site = Site(store, clock, legacy_cookies=[StarletteCookie(legacy)])
    value = TimestampSigner(legacy).sign(b64encode(b'{"cart": 1}')).decode()
    site.browser.cookies = {"session": value}
    old = site.browser.tab()
    clock.advance(1)
    await site.view()

    async def sign_in(session: Session) -> None:
        session["user"] = "bob"
        session.rotate()

    await site.do(sign_in)
    answer = await site.put(old, seen=1)
    assert answer.set_cookies == []


async def test_an_emptied_session_next_to_a_replaced_cookie_can_begin_anew(site: Site) -> None:
    """Two cookies, the first replaced a moment ago: the second's session is in use, and nothing of it is late."""
    await site.put(a=1)
    first = site.browser.tab()

    async def rotate(session: Session) -> None:
        session.rotate()

    await site.do(rotate)
    site.browser.cookies = {"session": site.browser.cookies["session"]}
    header = f"session={first.cookies['session']}; session={site.browser.cookies['session']}".encode()

    async def act(session: Session) -> None:
        del session["a"]
        await session.save()
        session["b"] = 2

    await site.do(act, cookie_headers=[header])
    assert await site.view() == {"b": 2}


# Several cookies


async def two_cookies(site: Site) -> bytes:
    one, other = site.browser.tab(), site.browser.tab()
    await site.put(one, user="alice")
    await site.put(other, user="alice")
    return f"session={one.cookies['session']}; session={other.cookies['session']}".encode()


async def test_taking_out_the_user_ends_the_sessions_of_all_cookies(site: Site) -> None:
    """Where the last key goes the session ends, as with destroy(): the other cookie must not sign in again."""
    header = await two_cookies(site)

    async def sign_out(session: Session) -> None:
        del session["user"]

    await site.do(sign_out, cookie_headers=[header])
    seen = (await site.browser.get("/view", cookie_headers=[header])).json()
    assert seen == {}


async def test_a_corrupt_row_of_another_cookie_doesnt_break_a_sign_out(site: Site) -> None:
    """A corrupt row is left as it is, everywhere; a sign-out still answers, and clears the cookie."""
    header = await two_cookies(site)
    other = key_of(header.decode().rpartition("session=")[2][:32])
    row = await site.store.load(other)
    assert row is not None
    await site.store.replace(other, b"no record", row.expires_at, row.version)

    async def sign_out(session: Session) -> None:
        session.destroy()

    answer = await site.do(sign_out, cookie_headers=[header])
    assert answer.status == 200
    assert answer.set_cookies != []


# HTTP


async def test_headers_that_can_be_read_once_arrive(store: SessionStore, clock: FakeClock) -> None:
    """ASGI says that headers are an iterable: one that can be read once must reach the server whole."""

    def headers() -> Iterator[tuple[bytes, bytes]]:
        yield b"content-length", b"0"
        yield b"x-app", b"1"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers()})
        await send({"type": "http.response.body", "body": b""})

    answer = await Browser(SessionMiddleware(app, SECRET, store=store, clock=clock)).get("/")
    assert answer.all("x-app") == ["1"]


async def test_an_unavailable_handler_that_returns_no_response_leaves_the_plain_503(
    store: SessionStore, clock: FakeClock
) -> None:
    """A forgotten `return` is the application's fault as an exception is: logged, and the plain 503."""
    failing = FailingStore(store)
    site = Site(failing, clock, unavailable_handler=lambda connection, error: None)
    await site.put(n=1)
    failing.fails = ["load"]
    assert (await site.put(n=2)).status == 503


@pytest.mark.parametrize("copy", [lambda state: state.copy(), lambda state: state | {"a": 1}])
async def test_the_state_can_be_copied_as_the_dict_that_it_is_in_asgi(
    store: SessionStore, clock: FakeClock, copy: Callable[[Any], Any]
) -> None:
    """scope["state"] is a dict in ASGI, and middleware inside ours may treat it as one."""
    seen = []

    async def handle(request: Request) -> None:
        seen.append(copy(request.scope["state"])["session"])

    await Browser(make_app(store, {"/": handle}, clock=clock)).get("/")
    assert isinstance(seen[0], Session)


async def test_a_socket_that_ends_by_a_disconnect_in_a_task_group_is_saved(
    store: SessionStore, clock: FakeClock
) -> None:
    """A reader in a task group is usual; the WebSocketDisconnect then comes in an ExceptionGroup."""

    async def talk(socket: WebSocket) -> None:
        await socket.accept()

        async def read() -> None:
            while True:
                socket.scope["session"]["last"] = await socket.receive_text()

        async with anyio.create_task_group() as group:
            group.start_soon(read)

    site = Site(store, clock)
    await site.put(n=1)
    app = make_app(store, {"/view": site._view}, {"/talk": talk}, clock=clock)
    browser = Browser(app, cookies=dict(site.browser.cookies))
    with pytest.raises(BaseExceptionGroup):
        await browser.connect("/talk", "hello")
    assert await site.view(browser) == {"n": 1, "last": "hello"}


# A write of unknown outcome, after which the handler takes its change back


class LosingStore(WrappedStore):
    """Makes the next `replace`, and then says that it doesn't know, or is cancelled."""

    loses: type[BaseException] | None = None

    async def before(self, call: str) -> None:
        pass

    async def replace(self, key: str, data: bytes, expires_at: int, version: Any) -> bool:
        done = await super().replace(key, data, expires_at, version)
        if self.loses is not None:
            loses, self.loses = self.loses, None
            raise loses("no answer")
        return done


@pytest.mark.parametrize("saves", [True, False])
async def test_a_sign_in_taken_back_after_a_save_of_unknown_outcome_is_not_stored(
    store: SessionStore, clock: FakeClock, saves: bool
) -> None:
    """save() timed out although the write took place; the handler takes the user out; then nobody is signed in."""
    losing = LosingStore(store)
    site = Site(losing, clock)
    await site.put(cart=1)

    async def act(session: Session) -> None:
        session["user"] = "alice"
        losing.loses = StoreTimeout
        with pytest.raises(StoreTimeout):
            await session.save()
        del session["user"]
        if saves:
            session["failed"] = True
            await session.save()

    await site.do(act)
    assert "user" not in await site.view()


async def test_a_value_set_back_after_a_save_of_unknown_outcome_is_stored(
    store: SessionStore, clock: FakeClock
) -> None:
    """The response was answered normally, so that the last value set is the one stored."""
    losing = LosingStore(store)
    site = Site(losing, clock)
    await site.put(role="user")

    async def act(session: Session) -> None:
        session["role"] = "admin"
        losing.loses = StoreTimeout
        with pytest.raises(StoreTimeout):
            await session.save()
        session["role"] = "user"

    await site.do(act)
    assert await site.view() == {"role": "user"}


async def test_a_sign_in_taken_back_after_a_cancelled_save_is_not_stored(store: SessionStore, clock: FakeClock) -> None:
    """A cancelled save may have taken place (move_on_after around it is usual)."""
    site = Site(store, clock)
    await site.put(cart=1)
    pausing = CancellingStore(store)
    site.app = make_app(pausing, {"/": site._handle, "/view": site._view}, clock=clock)
    site.browser = Browser(site.app, cookies=dict(site.browser.cookies))

    async def act(session: Session) -> None:
        session["user"] = "alice"
        with anyio.CancelScope() as pausing.scope:
            await session.save()
        del session["user"]

    await site.do(act)
    assert await site.view() == {"cart": 1}


class CancellingStore(WrappedStore):
    """Cancels its caller just after the write has taken place."""

    scope: anyio.CancelScope | None = None

    async def before(self, call: str) -> None:
        pass

    async def replace(self, key: str, data: bytes, expires_at: int, version: Any) -> bool:
        done = await super().replace(key, data, expires_at, version)
        if self.scope is not None:
            scope, self.scope = self.scope, None
            scope.cancel()
            await anyio.lowlevel.checkpoint()
        return done


# The time that a conflict holds the event loop


class CountingSerializer(JSONSerializer):
    calls = 0

    def dumps(self, data: Any) -> bytes:
        CountingSerializer.calls += 1
        return super().dumps(data)


async def test_a_conflict_serializes_a_large_session_a_few_times(store: SessionStore, clock: FakeClock) -> None:
    """One changed key of 1000 needs no thousands of calls: 0.9 MB in 40,000 keys hold the loop for seconds."""
    site = Site(store, clock, serializer=CountingSerializer())
    many: dict[str, Any] = {f"key{number}": {"a": number} for number in range(1000)}
    await site.put(**many)

    async def act(session: Session) -> None:
        await site.put(site.browser.tab(), theirs=1)
        CountingSerializer.calls = 0
        session["mine"] = 1
        await session.save()

    await site.do(act)
    assert CountingSerializer.calls <= 2000


async def test_our_own_look_at_the_data_lends_nothing(store: SessionStore, clock: FakeClock) -> None:
    """dict.copy() of a subclass calls its __getitem__: the cart counts as handed out, and 40,000 keys cost 10 ms."""
    site = Site(store, clock, serializer=CountingSerializer())
    await site.put(cart=["tea"])

    async def act(session: Session) -> None:
        session["n"] = 1
        await session.save()
        CountingSerializer.calls = 0

    await site.do(act)
    assert CountingSerializer.calls == 0


# Write queues


@pytest.mark.filterwarnings("ignore")  # the loop that was closed says that a task was pending
def test_an_event_loop_that_was_closed_in_the_middle_blocks_no_other_of_its_thread() -> None:
    """A queue belongs to an event loop, not to a thread, whose number another thread may get as well."""
    turns = WriteQueues()

    async def held_up() -> None:
        async with turns.turn("key"):
            await asyncio.Event().wait()

    async def look() -> bool:
        return not turns.is_alone("key")

    loop = asyncio.new_event_loop()
    waiting = held_up()
    task = loop.create_task(waiting)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    try:
        assert not asyncio.run(look()), "a writer would wait for a turn that nobody will ever end"
    finally:
        with suppress(RuntimeError):  # it gives its turn back, outside of any loop
            waiting.close()
        del task


# The circuit breaker
