"""Sessions of WebSockets: the cookie goes with the handshake, changes are saved at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from starlette_sessions_ext import EventKind, MemoryStore, SessionGone, SessionNotSaved, StoreUnavailable, get_session
from starlette_sessions_ext._core.ids import key_of
from starlette_sessions_ext._core.repository import ALIAS_RETENTION
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Answer, Browser, Handler, Talk, make_app
from ..support.handlers import logout, put, renew, view
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio

DENIALS = {"websocket.http.response": dict[str, Any]()}


HANDLERS: dict[str, Handler] = {"/": view, "/put": put, "/logout": logout, "/renew": renew}


class Unreachable(CountingStore):
    """Raises at the calls named in `fails`."""

    fails: frozenset[str] = frozenset()
    then: Callable[[], Awaitable[None]] | None = None  # what happens while the next call is under way

    async def before(self, call: str) -> None:
        await super().before(call)
        if self.then is not None:
            then, self.then = self.then, None
            await then()
        if call in self.fails:
            raise StoreUnavailable("the server is away")


@pytest.fixture
def store(clock: FakeClock) -> Unreachable:
    return Unreachable(MemoryStore(clock=clock))


class Socket:
    """A browser's side: connects, says `incoming`, hangs up; what it was sent is in `sent`.

    `talk` is the server's side, and may be changed between connections.
    """

    def __init__(
        self, store: CountingStore, talk: Talk, options: Mapping[str, Any] | None = None, **scope: Any
    ) -> None:
        self.store = store
        self.talk = talk
        self.scope = scope
        self.browser = Browser(make_app(store, HANDLERS, {"/socket": self._talk}, **(options or {})))
        self.sent: list[Message] = []

    async def connect(self, *incoming: str) -> None:
        self.sent = []
        self.sent = await self.browser.connect("/socket", *incoming, scope=self.scope)

    async def _talk(self, websocket: WebSocket) -> None:
        await self.talk(websocket)

    def headers(self) -> Answer:
        """The headers of the first message, which answers the handshake."""
        return Answer(0, list(self.sent[0].get("headers", ())))

    async def session(self) -> Any:
        """What another request of this browser finds in the session."""
        return (await self.browser.tab().get("/")).json()


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


async def test_an_accepted_socket_is_saved_whatever_save_if_says(store: Unreachable) -> None:
    browser = Browser(make_app(store, {"/": view}, {"/greet": greet}, save_if=lambda status: False))
    await browser.connect("/greet")
    assert (await browser.get("/")).json() == {"user": "ann"}


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


async def test_a_session_that_begins_with_a_refusal_isnt_saved(
    store: Unreachable, caplog: pytest.LogCaptureFixture
) -> None:
    """`websocket.close` in place of an answer to the handshake carries no headers, and any client can cause it."""

    async def refuse(websocket: WebSocket) -> None:
        websocket.session["refused"] = 1
        await websocket.close()

    with caplog.at_level("DEBUG"):
        await Socket(store, refuse).connect()
    assert store.calls == []
    assert [record.levelname for record in caplog.records if "refused" in record.message] == ["DEBUG"]


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


async def test_a_save_that_had_nothing_to_write_leaves_no_write_in_doubt(store: Unreachable) -> None:
    events: list[EventKind] = []

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        session = get_session(websocket)
        store.fails = frozenset({"load"})
        with pytest.raises(StoreUnavailable):
            await session.save()
        store.fails = frozenset()
        store.calls.clear()
        session["late"] = 1
        await session.save()
        await websocket.close()

    socket = Socket(store, greet, {"on_event": lambda event: events.append(event.kind)})
    await socket.connect()
    socket.talk = talk
    await socket.connect()
    assert store.calls == ["replace"]
    assert events == [EventKind.CREATED], "and no conflict"
    assert await socket.session() == {"user": "ann", "late": 1}


# Sockets that stay open

HOUR = 3600


def listening(clock: FakeClock, every: float, seen: list[Any], then: Talk | None = None) -> Talk:
    """A server's side that hears a text after a number of seconds each, and notes when."""

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        clock.advance(every)
        async for text in websocket.iter_text():
            seen.append(text)
            clock.advance(every)
        if then is not None:
            await then(websocket)

    return talk


async def test_messages_keep_the_session_alive_without_a_cookie(store: Unreachable, clock: FakeClock) -> None:
    socket = Socket(store, greet, {"clock": clock, "max_age": 5 * HOUR})
    await socket.connect()
    seen: list[Any] = []
    socket.talk = listening(clock, HOUR, seen)
    store.calls.clear()
    await socket.connect(*"123456789")
    assert seen == list("123456789")
    assert store.calls == ["load", *["load", "touch"] * 9]
    assert [message["type"] for message in socket.sent] == ["websocket.accept"]
    assert socket.headers().set_cookies == []
    assert await socket.session() == {"user": "ann"}


async def test_messages_in_quick_succession_cost_nothing(store: Unreachable, clock: FakeClock) -> None:
    socket = Socket(store, greet, {"clock": clock, "max_age": 5 * HOUR})
    await socket.connect()
    socket.talk = listening(clock, 1, [])
    store.calls.clear()
    await socket.connect(*("text",) * 100)
    assert store.calls == ["load"]


async def test_a_socket_on_which_nothing_is_said_keeps_nothing_alive(store: Unreachable, clock: FakeClock) -> None:
    socket = Socket(store, greet, {"clock": clock, "max_age": 5 * HOUR})
    await socket.connect()
    socket.talk = listening(clock, 5 * HOUR, [])
    store.calls.clear()
    await socket.connect()
    assert store.calls == ["load"]
    assert await socket.session() == {}


async def test_a_message_arrives_though_the_store_is_away(store: Unreachable, clock: FakeClock) -> None:
    socket = Socket(store, greet, {"clock": clock, "max_age": 5 * HOUR})
    await socket.connect()
    seen: list[Any] = []
    talk = listening(clock, HOUR, seen)

    async def cut_off(websocket: WebSocket) -> None:
        store.fails = frozenset({"load", "touch"})
        await talk(websocket)
        store.fails = frozenset()

    socket.talk = cut_off
    await socket.connect("one", "two")
    assert seen == ["one", "two"]


@pytest.mark.parametrize("says", [[], ["still here"]])
async def test_the_application_is_told_at_the_next_save_that_the_session_has_ended(
    store: Unreachable, clock: FakeClock, says: list[str]
) -> None:
    """Also if it has nothing to save, so that a socket can be closed when its user signs out."""

    async def leave(websocket: WebSocket) -> None:
        session = websocket.state.session
        await session.save()
        await socket.browser.tab().get("/logout")
        if says:
            session["late"] = 1
        for _ in range(2):
            with pytest.raises(SessionGone):
                await session.save()
        answered.append(True)

    answered: list[bool] = []
    socket = Socket(store, greet, {"clock": clock})
    await socket.connect()
    socket.talk = listening(clock, HOUR, [], leave)
    await socket.connect(*says)
    assert answered == [True]
    assert await socket.session() == {}


async def test_a_session_that_ended_unnoticed_costs_a_look_now_and_then(store: Unreachable, clock: FakeClock) -> None:
    async def talk(websocket: WebSocket) -> None:
        await socket.browser.tab().get("/logout")
        store.calls.clear()
        await listening(clock, ALIAS_RETENTION / 4, [])(websocket)

    socket = Socket(store, greet, {"clock": clock})
    await socket.connect()
    socket.talk = talk
    await socket.connect(*"12345678")
    assert store.calls == ["load"] * 4


async def test_a_save_without_changes_shows_what_others_saved(store: Unreachable, clock: FakeClock) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await socket.browser.tab().get("/put?theirs=1")
        await websocket.state.session.save()
        seen.append(dict(websocket.session))

    seen: list[Any] = []
    socket = Socket(store, greet)
    await socket.connect()
    socket.talk = talk
    await socket.connect()
    assert seen == [{"user": "ann", "theirs": "1"}]


async def test_a_socket_follows_its_session_through_renewals(store: Unreachable, clock: FakeClock) -> None:
    """Its own id opens nothing any more by then, to anybody."""
    socket = Socket(store, greet, {"clock": clock, "max_age": 24 * HOUR})
    await socket.connect()
    http = socket.browser.tab()

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            clock.advance(ALIAS_RETENTION / 2)
            await http.get(f"/put?{text}=1")
            await http.get("/renew")
            websocket.session["last"] = text

    socket.talk = talk
    await socket.connect(*"abcdef")
    assert await socket.session() == {}
    assert (await http.get("/")).json() == {"user": "ann", **dict.fromkeys("abcdef", "1"), "last": "f"}


async def test_a_save_during_the_look_of_a_message_isnt_forgotten(store: Unreachable, clock: FakeClock) -> None:
    socket = Socket(store, greet, {"clock": clock, "max_age": 5 * HOUR})
    await socket.connect()

    async def talk(websocket: WebSocket) -> None:
        session = websocket.state.session

        async def save() -> None:
            session["mine"] = 1
            await session.save()
            await socket.browser.tab().get("/put?mine=theirs")

        await websocket.accept()
        clock.advance(HOUR)
        store.then = save
        await websocket.receive_text()
        session["more"] = 1

    socket.talk = talk
    await socket.connect("text")
    assert await socket.session() == {"user": "ann", "mine": "theirs", "more": 1}


async def test_a_message_arrives_though_the_row_is_corrupt(store: Unreachable, clock: FakeClock) -> None:
    socket = Socket(store, greet, {"clock": clock, "max_age": 5 * HOUR})
    await socket.connect()
    seen: list[Any] = []

    async def damage(websocket: WebSocket) -> None:
        key = key_of(socket.browser.cookies["session"][:32])
        row = await store.store.load(key)
        assert row is not None
        await store.store.replace(key, b"damaged", row.expires_at, row.version)
        await listening(clock, HOUR, seen)(websocket)

    socket.talk = damage
    await socket.connect("text")
    assert seen == ["text"]


async def test_after_a_look_an_unchanged_session_is_saved_in_one_call(store: Unreachable, clock: FakeClock) -> None:
    async def change(websocket: WebSocket) -> None:
        store.calls.clear()
        websocket.session["more"] = 1

    socket = Socket(store, greet, {"clock": clock, "max_age": 5 * HOUR})
    await socket.connect()
    socket.talk = listening(clock, HOUR, [], change)
    await socket.connect("text")
    assert store.calls == ["replace"]
    assert await socket.session() == {"user": "ann", "more": 1}


async def test_what_is_set_before_the_client_leaves_is_saved(store: Unreachable) -> None:
    """The usual loop: `receive_text` raises WebSocketDisconnect, and nothing catches it."""

    async def count(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            websocket.session["last"] = await websocket.receive_text()

    socket = Socket(store, greet)
    await socket.connect()
    socket.talk = count
    with pytest.raises(WebSocketDisconnect):
        await socket.connect("one", "two")
    assert await socket.session() == {"user": "ann", "last": "two"}


async def test_a_client_that_leaves_without_a_change_writes_nothing(store: Unreachable) -> None:
    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    socket = Socket(store, greet)
    await socket.connect()
    socket.talk = listen
    store.calls.clear()
    with pytest.raises(WebSocketDisconnect):
        await socket.connect()
    assert store.calls == ["load"]


async def test_what_cant_be_saved_when_the_client_leaves_is_logged(
    store: Unreachable, caplog: pytest.LogCaptureFixture
) -> None:
    async def count(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            websocket.session["last"] = await websocket.receive_text()
            store.fails = frozenset({"replace"})

    socket = Socket(store, greet)
    await socket.connect()
    socket.talk = count
    with pytest.raises(WebSocketDisconnect):
        await socket.connect("one")
    assert "last changes weren't saved" in caplog.text


async def test_an_exception_of_the_handler_saves_nothing(store: Unreachable) -> None:
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.session["late"] = 1
        raise ZeroDivisionError

    socket = Socket(store, greet)
    await socket.connect()
    socket.talk = fail
    with pytest.raises(ZeroDivisionError):
        await socket.connect()
    assert await socket.session() == {"user": "ann"}


async def test_no_id_is_renewed_at_a_handshake(store: Unreachable, clock: FakeClock) -> None:
    """Some servers drop the headers of `websocket.accept`, and the grace of the old id is short."""
    socket = Socket(store, greet, {"clock": clock, "renew_after": 100})
    await socket.connect()
    clock.advance(200)
    before = socket.browser.cookies["session"]
    await socket.connect()
    assert socket.browser.cookies["session"] == before
    await socket.browser.get("/")
    assert socket.browser.cookies["session"] != before
