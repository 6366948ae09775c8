"""Sessions of WebSockets: the cookie goes with the handshake, changes are saved at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from starlette_sessions_ext import MemoryStore, SessionMiddleware, SessionNotSaved, StoreUnavailable
from starlette_sessions_ext.testing import FakeClock

from .asgi import SECRET, Answer, Browser
from .stores.instruments import CountingStore

pytestmark = pytest.mark.anyio

Talk = Callable[[WebSocket], Awaitable[None]]

DENIALS = {"websocket.http.response": dict[str, Any]()}


class Unreachable(CountingStore):
    """Raises at the calls named in `fails`."""

    fails: frozenset[str] = frozenset()

    async def before(self, call: str) -> None:
        await super().before(call)
        if call in self.fails:
            raise StoreUnavailable("the server is away")


@pytest.fixture
def store(clock: FakeClock) -> Unreachable:
    return Unreachable(MemoryStore(clock=clock))


class Socket:
    """A browser's side: connects, says `incoming`, hangs up; what it was sent is in `sent`.

    `talk` is the server's side, and may be changed between connections.
    """

    def __init__(self, store: CountingStore, talk: Talk, **scope: Any) -> None:
        self.store = store
        self.talk = talk
        self.scope = scope
        self.app = Starlette(routes=[WebSocketRoute("/", self._talk)])
        self.app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store)
        self.browser = Browser(self.app)
        self.sent: list[Message] = []

    async def connect(self, *incoming: str) -> None:
        texts: list[Message] = [{"type": "websocket.receive", "text": text} for text in incoming]
        messages: Iterator[Message] = iter(
            [{"type": "websocket.connect"}, *texts, {"type": "websocket.disconnect", "code": 1000}]
        )

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            self.sent.append(message)
            self.browser._keep_cookies(Answer(0, list(message.get("headers", ()))))

        cookies = "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())
        self.sent = []
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": "/",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"cookie", cookies.encode())],
            "subprotocols": [],
            "extensions": {},
            **self.scope,
        }
        await self.app(scope, receive, send)

    async def _talk(self, websocket: WebSocket) -> None:
        await self.talk(websocket)

    def headers(self) -> Answer:
        """The headers of the first message, which answers the handshake."""
        return Answer(0, list(self.sent[0].get("headers", ())))

    async def session(self) -> dict[str, Any]:
        """What another connection of this browser finds in the session."""
        seen: list[dict[str, Any]] = []

        async def look(websocket: WebSocket) -> None:
            await websocket.accept()
            seen.append(dict(websocket.session))
            await websocket.close()

        other = Socket(self.store, look)
        other.browser.cookies = dict(self.browser.cookies)
        await other.connect()
        return seen[0]


async def greet(websocket: WebSocket) -> None:
    """Sign in before the handshake is answered."""
    websocket.session["user"] = "ann"
    await websocket.accept()
    await websocket.close()


async def collect(websocket: WebSocket) -> None:
    """Keep what comes in, until the browser hangs up."""
    websocket.session.setdefault("texts", [])
    await websocket.accept()
    async for text in websocket.iter_text():
        websocket.session["texts"].append(text)


async def test_the_cookie_of_a_new_session_goes_with_the_handshake(store: Unreachable) -> None:
    socket = Socket(store, greet)
    await socket.connect()
    assert [message["type"] for message in socket.sent] == ["websocket.accept", "websocket.close"]
    [line] = socket.headers().set_cookies
    assert line.startswith("session=")
    assert socket.headers().all("vary") == ["Cookie"]
    assert store.calls == ["create"]
    assert await socket.session() == {"user": "ann"}


async def test_headers_that_the_application_gave_the_handshake_stay(store: Unreachable) -> None:
    async def accept(websocket: WebSocket) -> None:
        websocket.session["user"] = "ann"
        await websocket.accept(headers=[(b"x-room", b"1")])

    socket = Socket(store, accept)
    await socket.connect()
    assert socket.headers().all("x-room") == ["1"]
    assert len(socket.headers().set_cookies) == 1


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_the_cookie_is_secure_over_wss(store: Unreachable, scheme: str) -> None:
    socket = Socket(store, greet, scheme=scheme)
    await socket.connect()
    assert ("; secure" in socket.headers().set_cookies[0]) is (scheme == "wss")


async def test_the_session_is_one_object_under_its_three_names(store: Unreachable) -> None:
    same: list[bool] = []

    async def look(websocket: WebSocket) -> None:
        same.append(websocket.session is websocket.state.session is websocket.scope["session"])
        await websocket.close()

    await Socket(store, look).connect()
    assert same == [True]


async def test_what_changed_meanwhile_is_saved_at_the_end(store: Unreachable) -> None:
    socket = Socket(store, collect)
    await socket.connect("one", "two")
    assert store.calls == ["create", "load", "replace"]
    await socket.connect("three")
    assert socket.headers().set_cookies == []
    assert await socket.session() == {"texts": ["one", "two", "three"]}


async def test_a_change_may_be_saved_while_the_socket_is_open(store: Unreachable) -> None:
    seen: list[dict[str, Any]] = []

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.session["read"] = 5
        await websocket.state.session.save()
        seen.append(await socket.session())

    socket = Socket(store, greet)
    await socket.connect()
    socket.talk = talk
    await socket.connect()
    assert seen == [{"user": "ann", "read": 5}]


async def test_a_session_that_begins_after_the_handshake_raises(store: Unreachable) -> None:
    async def late(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.session["late"] = 1

    with pytest.raises(SessionNotSaved):
        await Socket(store, late).connect()
    assert store.calls == []


async def test_a_session_that_begins_with_a_refusal_raises(store: Unreachable) -> None:
    """`websocket.close` in place of an answer to the handshake carries no headers."""

    async def refuse(websocket: WebSocket) -> None:
        websocket.session["refused"] = 1
        await websocket.close()

    with pytest.raises(SessionNotSaved):
        await Socket(store, refuse).connect()
    assert store.calls == []


async def test_a_session_may_change_with_a_refusal(store: Unreachable) -> None:
    async def refuse(websocket: WebSocket) -> None:
        websocket.session["refused"] = 1
        await websocket.close()

    socket = Socket(store, greet)
    await socket.connect()
    socket.talk = refuse
    await socket.connect()
    assert await socket.session() == {"user": "ann", "refused": 1}


async def test_a_denial_response_carries_the_cookie(store: Unreachable) -> None:
    async def deny(websocket: WebSocket) -> None:
        websocket.session["denied"] = 1
        await websocket.send_denial_response(PlainTextResponse("sign in first", 401))

    socket = Socket(store, deny, extensions=DENIALS)
    await socket.connect()
    assert (socket.sent[0]["type"], socket.sent[0]["status"]) == ("websocket.http.response.start", 401)
    assert len(socket.headers().set_cookies) == 1
    assert await socket.session() == {"denied": 1}


async def unreachable(store: Unreachable, fails: str, **scope: Any) -> Socket:
    """What a browser with a session is sent while the store is away."""
    socket = Socket(store, greet, **scope)
    await socket.connect()
    store.fails = frozenset({fails})
    socket.talk = collect
    await socket.connect()
    store.fails = frozenset()
    assert await socket.session() == {"user": "ann"}, "signed in as before"
    return socket


@pytest.mark.parametrize("fails", ["load", "replace"])
async def test_without_its_session_a_handshake_is_denied(store: Unreachable, fails: str) -> None:
    socket = await unreachable(store, fails, extensions=DENIALS)
    start, body = socket.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert [int(value) > 0 for value in socket.headers().all("retry-after")] == [True]
    assert socket.headers().set_cookies == []
    assert (body["type"], body.get("more_body", False)) == ("websocket.http.response.body", False)


@pytest.mark.parametrize("fails", ["load", "replace"])
async def test_a_server_that_knows_no_denial_responses_closes_instead(store: Unreachable, fails: str) -> None:
    socket = await unreachable(store, fails)
    [message] = socket.sent
    assert (message["type"], message["code"]) == ("websocket.close", 1013)


async def test_a_save_that_fails_at_the_end_raises(store: Unreachable) -> None:
    async def talk(websocket: WebSocket) -> None:
        await greet(websocket)
        websocket.session["late"] = 1
        store.fails = frozenset({"load", "replace"})

    with pytest.raises(StoreUnavailable):
        await Socket(store, talk).connect()
