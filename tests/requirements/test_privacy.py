"""What nobody gets to see: row V1 of the requirements.

Each test makes canaries, lets something happen that is known to print what it holds, and looks for
them in the print. Canaries are made at run time, so that no line of source in a traceback is one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    LegacySession,
    MemoryStore,
    NotSerializable,
    RedisStore,
    Session,
    SessionConflict,
    SessionError,
    SessionGone,
    SessionMiddleware,
    SessionNotSaved,
    SessionStore,
    SessionTooLarge,
    SQLiteStore,
    StarletteCookie,
    StoreUnavailable,
)
from starlette_sessions_ext._core.circuit_breaker import Guard
from starlette_sessions_ext._core.ids import Successors, key_of, new_id, new_nonce
from starlette_sessions_ext._core.plan import Entry, SetCookie
from starlette_sessions_ext._core.record import Alias, Header, decode
from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext._http.exchange import Exchange
from starlette_sessions_ext.testing import FakeClock
from starlette_sessions_ext.testing._named import named

from ..support.client import Browser, make_app
from ..support.handlers import logout, renew, rotate
from ..support.redis_server import RedisServer
from ..support.servers import free_port
from ..support.store_wrappers import CountingStore
from .conftest import SETTINGS

pytestmark = pytest.mark.anyio

SECRET = "canary" + secrets.token_hex(16)
PAYLOAD = "canary" + secrets.token_hex(8)
PASSWORD = "canary" + secrets.token_hex(8)


def words_of(browser: Browser) -> list[str]:
    """What must not be seen of a browser's session: id, signature, key."""
    session_id, signature = browser.cookies["session"][:32], browser.cookies["session"][33:]
    return [session_id, signature, key_of(session_id)]


def assert_clean(text: str, *browsers: Browser) -> None:
    """The beginning of a secret is one as well: asyncio cuts what it logs after a dozen characters."""
    words = [SECRET, PAYLOAD, PASSWORD, *(word for browser in browsers for word in words_of(browser))]
    assert [word for word in words if word[:12] in text] == [], text


async def view(request: Request) -> Any:
    return len(request.state.session)


async def put(request: Request) -> Any:
    """/put?key=more"""
    for key, more in request.query_params.items():
        request.state.session[key] = PAYLOAD + more
    return {}


HANDLERS = {"/": view, "/put": put, "/rotate": rotate, "/renew": renew, "/logout": logout}


class Site:
    """An application with handlers that fail, a browser with a session, and all that was sent since."""

    def __init__(self, store: SessionStore, clock: FakeClock, **options: Any) -> None:
        self.store = store
        self.app = make_app(store, {**HANDLERS, **self.failing()}, secret_key=SECRET, clock=clock, **options)
        self.browser = Browser(self)
        self.sent = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def keep(message: Message) -> None:
            self.sent += repr(message)
            await send(message)

        await self.app(scope, receive, keep)

    async def in_between(self, path: str) -> None:
        """What another tab does while a request of the browser runs."""
        await Browser(self.app, cookies=dict(self.browser.cookies)).get(path)

    def failing(self) -> dict[str, Callable[[Request], Awaitable[Any]]]:
        async def unserializable(request: Request) -> Any:
            request.state.session["culprit"] = [PAYLOAD, {PAYLOAD}]

        async def surrogate(request: Request) -> Any:
            request.state.session["culprit"] = PAYLOAD + "\ud800"

        async def too_large(request: Request) -> Any:
            request.state.session["large"] = PAYLOAD * 100_000

        async def conflict(request: Request) -> Any:
            request.state.session["a"] = PAYLOAD + "mine"
            await self.in_between("/put?a=theirs")

        async def gone(request: Request) -> Any:
            request.state.session["a"] = PAYLOAD + "mine"
            await self.in_between("/logout")
            await request.state.session.save()

        async def corrupt(request: Request) -> Any:
            request.state.session["a"] = PAYLOAD + "mine"
            await self.overwrite(PAYLOAD.encode())

        async def stranger(request: Request) -> Any:
            request.state.session["a"] = PAYLOAD + "mine"
            await self.overwrite(Header(key_of(new_id()), 0, 0, None, "0" * 16).encode(new_nonce(), PAYLOAD.encode()))

        async def not_json(request: Request) -> Any:
            request.state.session["a"] = PAYLOAD + "mine"
            await self.overwrite(Header(self.key, 0, 0, None, "0" * 16).encode(new_nonce(), b"{" + PAYLOAD.encode()))

        async def too_late(request: Request) -> Any:
            request.state.session.destroy()

            async def body() -> AsyncIterator[bytes]:
                yield b""
                request.state.session["a"] = PAYLOAD

            return StreamingResponse(body())

        async def careless(request: Request) -> Any:
            raise RuntimeError(f"{request.state.session} {request.state.session!r}")

        handlers = (
            *(unserializable, surrogate, too_large, conflict, gone),
            *(corrupt, stranger, not_json, too_late, careless),
        )
        return {f"/{handler.__name__}": handler for handler in handlers}

    @property
    def key(self) -> str:
        return key_of(self.browser.cookies["session"][:32])

    async def overwrite(self, data: bytes) -> None:
        row = await self.store.load(self.key)
        assert row is not None
        assert await self.store.replace(self.key, data, row.expires_at, row.version)


def printed(error: BaseException) -> str:
    """An exception as logs show it, with its causes, and its repr with that of each of them."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "".join([*traceback.format_exception(error), *map(repr, chain), *(repr(one.args) for one in chain)])


FAILURES: dict[str, type[Exception]] = {
    "/unserializable": NotSerializable,
    "/surrogate": NotSerializable,
    "/too_large": SessionTooLarge,
    "/conflict": SessionConflict,
    "/gone": SessionGone,
    "/corrupt": CorruptRecord,
    "/stranger": CorruptRecord,
    "/not_json": CorruptRecord,
    "/too_late": SessionNotSaved,
    "/careless": RuntimeError,
}


@pytest.mark.parametrize("path", FAILURES)
async def test_V1_errors_and_their_pages_tell_nothing(store: CountingStore, clock: FakeClock, path: str) -> None:
    site = Site(store, clock, on_conflict="raise")
    site.app.debug = True  # the page is then the whole traceback
    await site.browser.get("/put?a=1")
    tab, site.sent = site.browser.tab(), ""
    with pytest.raises(FAILURES[path]) as caught:
        await site.browser.get(path)
    assert_clean(printed(caught.value) + site.sent, tab)
    assert "http.response.start" in site.sent


@pytest.fixture
def broken(store: CountingStore, tmp_path: Path, clock: FakeClock) -> SessionStore:
    """A store of the same kind that can't be reached, with a password if it takes one."""
    if isinstance(store.store, RedisStore):
        return RedisStore(f"redis://{PASSWORD}:{PASSWORD}@127.0.0.1:{free_port()}/0", clock=clock)
    if isinstance(store.store, SQLiteStore):
        return SQLiteStore(tmp_path / "no such folder" / "sessions.db", clock=clock)
    return MemoryStore(max_bytes=1, clock=clock)


async def test_V1_a_store_that_cant_be_reached_tells_nothing(
    broken: SessionStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    listen(caplog)
    site = Site(broken, clock)
    visitor = Browser(site, cookies={"session": SessionCookie("session", SECRET).sign(new_id())})
    for browser, path in ((visitor, "/"), (visitor, "/put?a=1"), (Browser(site), "/put?a=1")):
        await browser.get(path)
    assert "'status': 503" in site.sent
    assert b"Sessions are unavailable" in site.sent.encode()
    with pytest.raises(StoreUnavailable) as caught:
        await broken.create(key_of(visitor.cookies["session"][:32]), PAYLOAD.encode(), 10**10)
    assert_clean(printed(caught.value) + site.sent + logged(caplog), visitor)


@pytest.mark.parametrize("setting", [SETTINGS["redis-asyncio"], SETTINGS["redis-uvloop"]], indirect=True)
@pytest.mark.parametrize("command", ["set", "evalsha", "get", "del", "pexpire"])
async def test_V1_a_server_that_quotes_what_it_was_sent_tells_nothing(
    tmp_path: Path, clock: FakeClock, setting: Any, command: str
) -> None:
    """Redis answers a command that it doesn't know, as behind some proxies, with the arguments."""
    key = key_of(new_id())
    server = RedisServer(tmp_path, "--save", "", "--rename-command", command, "")
    server.start()
    try:
        store = RedisStore(server.url, clock=clock)
        calls: list[Callable[[], Awaitable[Any]]] = [
            store.open,
            lambda: store.load(key),
            lambda: store.create(key, PAYLOAD.encode(), int(clock()) + 60),
            lambda: store.replace(key, PAYLOAD.encode(), int(clock()) + 60, PAYLOAD.encode()),
            lambda: store.touch(key, int(clock()) + 60),
            lambda: store.delete(key),
            lambda: store.delete(key, PAYLOAD.encode()),
        ]
        errors = [error for call in calls if (error := await raised_by(call)) is not None]
        await store.aclose()
    finally:
        server.stop()
    assert errors, "the server did all that it was asked"
    for error in errors:
        text = printed(error)
        assert key not in text
        assert_clean(text)


async def raised_by(call: Callable[[], Awaitable[Any]]) -> StoreUnavailable | None:
    try:
        await call()
    except StoreUnavailable as error:
        return error
    return None


@pytest.mark.parametrize(
    "url", ["http://{}@host", "redis://:{}@host:port", "redis://:{}@host/0?socket_timeout=soon", "redis://:{}/@host"]
)
def test_V1_an_address_that_cant_be_read_isnt_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisStore(url.format(PASSWORD))
    assert_clean(printed(caught.value))


@pytest.mark.parametrize(
    "options",
    [
        {"secret_key": [SECRET, ""]},
        {"secret_key": [SECRET, 7]},
        {"session_cookie": PAYLOAD + ";"},
        {"path": PAYLOAD},
        {"domain": PAYLOAD + ";"},
        {"same_site": PAYLOAD},
        {"max_age": PAYLOAD},
        {"idle_timeout": PAYLOAD},
        {"on_conflict": PAYLOAD},
        {"store": PAYLOAD},
    ],
)
def test_V1_options_that_cant_work_arent_repeated(options: dict[str, Any]) -> None:
    app = Starlette()
    with pytest.raises(ConfigurationError) as caught:
        SessionMiddleware(app, **{"secret_key": SECRET, "store": MemoryStore(), **options})
    assert_clean(printed(caught.value))


def listen(caplog: pytest.LogCaptureFixture) -> None:
    """Let every logger pass on everything, also those that have a level of their own."""
    caplog.set_level(0)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(0, name)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged, as text and as the arguments that a handler could still get at."""
    formatter = logging.Formatter("%(name)s %(message)s %(stack_info)s")
    return "\n".join(f"{formatter.format(record)} {record.args!r}" for record in caplog.records)


@pytest.fixture
async def asyncio_debug(anyio_backend_name: str) -> AsyncIterator[None]:
    """asyncio's debug mode, with a line in the log for each step of the loop. Trio has nothing like it."""
    if anyio_backend_name != "asyncio":
        yield
        return
    loop = asyncio.get_running_loop()
    before, loop.slow_callback_duration = loop.slow_callback_duration, 0
    loop.set_debug(True)
    try:
        yield
    finally:
        loop.set_debug(False)
        loop.slow_callback_duration = before


async def test_V1_logs_at_debug_tell_nothing(
    store: CountingStore,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    asyncio_debug: None,
    anyio_backend_name: str,
) -> None:
    listen(caplog)
    site = Site(store, clock, touch_interval=1)
    seen: list[Browser] = []

    async def visit(browser: Browser, path: str, cookie_headers: list[bytes] | None = None) -> None:
        clock.advance(1)
        with suppress(SessionError):
            await browser.get(path, cookie_headers=cookie_headers)
        seen.extend([browser.tab()] if browser.cookies else [])

    ann, bob = site.browser, Browser(site)
    for path in (
        "/put?a=1",
        "/",
        "/put?b=1",
        "/rotate",
        "/renew",
        "/",
        "/conflict",
        "/unserializable",
        "/surrogate",
        "/too_large",
    ):
        await visit(ann, path)
    await visit(bob, "/put?a=1")
    cookies = [f"session={browser.cookies['session']}".encode() for browser in (ann, bob)]
    await visit(ann, "/", cookies)
    await visit(ann, "/", [f"session={SECRET}{PAYLOAD}".encode(), cookies[0] + b"-"])
    await visit(bob, "/logout")
    for path in ("/corrupt", "/", "/put?a=1", "/gone"):
        await visit(ann, path)
    text = logged(caplog)
    for kind in (
        "created",
        "rotated",
        "renewed",
        "conflict_overwritten",
        "write_dropped",
        "destroyed",
        "record_corrupt",
        "duplicate_cookies",
    ):
        assert kind in text
    assert ("Executing <" in text) == (anyio_backend_name == "asyncio")
    assert_clean(text, *seen)


async def discard(message: Message) -> None:
    """Send nothing."""


async def holders(store: CountingStore, clock: FakeClock, browser: Browser) -> dict[str, object]:
    """What holds a secret of some kind in a request of the browser's session."""
    sessions: list[Session] = []

    async def keep(request: Request) -> Any:
        sessions.append(request.state.session)

    app = make_app(store, {"/": keep}, secret_key=SECRET, clock=clock)
    await Browser(app, cookies=dict(browser.cookies)).get("/")
    session_id, key = browser.cookies["session"][:32], words_of(browser)[-1]
    stored = await store.store.load(key)
    assert stored is not None
    assert PAYLOAD.encode() in stored.data
    record = decode(stored.data, key)
    assert not isinstance(record, Alias)
    header, body = record
    middleware = SessionMiddleware(app, [SECRET, Secret(SECRET)], store=store, clock=clock)
    scope: Scope = {"headers": [(b"cookie", f"session={browser.cookies['session']}".encode())]}
    found = middleware._http.cookie.find(scope)
    assert found.session_id == session_id
    return {
        "the session": sessions[0],
        "stored": stored,
        "header": header,
        "row": Entry(session_id, header, body, stored.expires_at, stored.version),
        "cookie found": found,
        "cookie sent": SetCookie(session_id, 60),
        "cookies": middleware._http.cookie,
        "middleware": middleware,
        "settings": middleware._config,
        "rows": middleware._config.rows,
        "repository": middleware._config.repository,
        "exchange": Exchange(middleware._config, middleware._http, scope, discard, found.session_id),
        "store": store.store,
        "alias": Alias(key, 0, "0" * 16, key_of(session_id)),
        "successors": Successors([SECRET]),
        "guard": Guard(store),
        "legacy cookie": StarletteCookie(SECRET),
        "legacy session": LegacySession(PAYLOAD, {"name": PAYLOAD}, 0),
    }


async def test_V1_no_repr_tells_anything(store: CountingStore, clock: FakeClock) -> None:
    browser = Browser(make_app(store, HANDLERS, secret_key=SECRET, clock=clock))
    await browser.get("/put?a=1")
    for name, held in (await holders(store, clock, browser)).items():
        with named(name):
            assert_clean(f"{held} {held!r} {held!a} {[held]}", browser)
