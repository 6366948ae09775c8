"""One ASGI request or socket, from its session's loading to its response.

The session is saved, and the cookie sent, as the response starts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from .._core.config import SessionConfig
from .._core.context import SessionContext
from .._core.keep_alive import keep_alive
from .._core.plan import ClearCookie, SetCookie
from .._core.sign_in_details import Describe, encode_details
from ..errors import ConfigurationError, SessionError, SessionGone
from ..events import logger
from ..session import ENDED, Session, new_session
from .cookie import SessionCookie
from .headers import (
    RELATED,
    VARY,
    Headers,
    is_local,
    keep_from_caches,
    may_read_later,
    set_cookies,
    sets_cookie,
    vary_by_cookie,
)
from .request_state import RequestState
from .stray_cookies import removals

STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


@dataclass(slots=True, eq=False, repr=False)
class HTTPConfig:
    """The HTTP settings that all exchanges of a middleware share."""

    cookie: SessionCookie
    state_attr: str
    save_if: Callable[[int], bool] | None
    describe: Describe
    _warnings: set[str] = field(default_factory=set)

    def warn_once(self, message: str) -> None:
        """Log a warning, the first time only."""
        if message not in self._warnings:
            self._warnings.add(message)
            logger.warning(message)


class Exchange(SessionContext):
    """The session of one request, with the messages that the application sends.

    It is made in one function, since every request makes one. The session is in the scope until `close`.
    `failure` is why the response that was about to start couldn't be saved.

    Raises `ConfigurationError` where the name in `request.state` is taken.
    """

    __slots__ = ("_http", "_outer_state", "_scope", "_send_message")

    failure: Exception | None = None
    saves = True  # what `save_if` said
    _outer_session: Any = None
    _outer_state: MutableMapping[str, Any]

    def __init__(
        self, config: SessionConfig, http: HTTPConfig, scope: Scope, send: Send, client_id: str | None
    ) -> None:
        self.config = config
        self.entry = None
        self.cookie = None
        self.client_id = client_id
        self.writable = True
        self._http = http
        self._scope = scope
        self._send_message = send
        self.session = session = new_session()
        session._persistence = self
        session._stored = None
        session._lent = session.accessed = session.modified = False
        # Into the scope
        name = http.state_attr
        state = scope.get("state")
        if state is None:
            state = {}
        elif name in state and not isinstance(state, RequestState) and not isinstance(state[name], Session):
            raise ConfigurationError(f"request.state.{name} is taken by the application: choose another state_attr")
        self._outer_state = state
        scope["state"] = RequestState(state, name, session)
        if "session" in scope:
            self._outer_session = scope["session"]
            if not isinstance(self._outer_session, Session):
                http.warn_once(_TWO_MIDDLEWARES)
        scope["session"] = session

    def close(self) -> None:
        """Take the session out of the server's state, since the request is over.

        An outer session is put back.
        """
        self.session._persistence = ENDED
        self._scope["state"] = self._outer_state
        if self._outer_session is not None:
            self._scope["session"] = self._outer_session

    def wrap_receive(self, receive: Receive) -> Receive:
        """Return `receive` of a socket. Each message is a use of its session."""
        self.is_socket = True
        self.kept_alive_at = self.config.rows.clock()

        async def receive_message() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                await keep_alive(self)
            return message

        return receive_message

    def sign_in_details(self) -> str | None:
        return encode_details(self._http.describe, self._scope)

    # The response

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application, after saving if it starts the response."""
        if not self.writable or message["type"] not in STARTS:
            return self._send_message(message)
        if (self._http.save_if is None or self._is_saved(message)) and self.has_work():
            return self._save_and_send(message)
        self._begin(message)
        return self._send_message(message)

    async def save_late(self) -> None:
        """Save what changed after the response had started, or on a refused socket."""
        is_refused = self.writable and self.is_socket
        if self.failure is not None or not self.saves or (self.writable and not is_refused):
            return
        self.writable = False
        if is_refused and self.entry is None:
            logger.debug("a refused WebSocket wrote to a new session, which isn't saved")
            return
        with suppress(SessionGone):
            await self.commit()

    async def save_after_disconnect(self) -> None:
        """Save a WebSocket's last changes, whose failure can't reach a client any more."""
        try:
            if self.session.modified or (self.session._lent and self.differs()):
                await self.save_late()
        except SessionError as failure:
            logger.error("a WebSocket's last changes weren't saved: %s", failure)

    async def _save_and_send(self, message: Message) -> None:
        """Save, and send the first message.

        An error page after a failed save saves nothing.
        """
        if self.failure is None or message.get("status", 200) < 400:
            self.failure = None
            try:
                await self.commit()
            except SessionGone:
                pass  # another request's logout or rotation stands; an event says so
            except Exception as error:
                self.failure = error
                raise
        self._begin(message)
        await self._send_message(message)

    def _is_saved(self, message: Message) -> bool:
        """Return whether `save_if` lets this response save the session.

        An accepted socket always saves.
        """
        save_if = self._http.save_if
        assert save_if is not None
        if "status" in message:
            try:
                self.saves = bool(save_if(message["status"]))
            except Exception:
                logger.exception("save_if raised, so the session is saved")
        return self.saves

    def _begin(self, message: Message) -> None:
        """Start the response, after which no cookie can be sent."""
        self.writable = False
        message["headers"] = headers = [*message.get("headers", ())]
        session = self.session
        if self._scope.get("session") is not session:
            self._warn_of_other(headers)
        for name, _ in headers:
            if name in RELATED:
                self._write_headers(message, headers)
                return
        if self.cookie is not None or session._degraded:
            self._write_headers(message, headers)
        elif session.accessed or may_read_later(message, headers):
            headers.append(VARY)

    def _warn_of_other(self, headers: Headers) -> None:
        """Warn if another middleware's session has taken the place of ours.

        The response may set a cookie of our name as well. That has another warning.
        """
        if not isinstance(self._scope.get("session"), Session) and not sets_cookie(headers, self._http.cookie.prefix):
            self._http.warn_once(_TWO_MIDDLEWARES)

    def _write_headers(self, message: Message, headers: Headers) -> None:
        """Add Vary and our Set-Cookie, and keep the response from caches.

        This is for responses whose headers may collide with ours.
        """
        http, cookie, session = self._http, self.cookie, self.session
        if sets_cookie(headers, http.cookie.prefix):
            http.warn_once(_TWO_COOKIES.format(http.cookie.name))
        if not session.accessed and cookie is None and not may_read_later(message, headers):
            return
        vary_by_cookie(headers)
        if session._degraded:
            keep_from_caches(headers)
        if cookie is not None:
            set_cookies(headers, http.cookie.name, self._render(cookie))

    def _render(self, cookie: SetCookie | ClearCookie) -> list[bytes]:
        scope, http = self._scope, self._http
        secure = http.cookie.is_secure(scope.get("scheme"))
        if not secure and http.cookie.secure == "auto" and not is_local(scope["headers"]):
            http.warn_once(
                "a session cookie goes out over plain http, where anybody on the way can read it: "
                "use https, and behind a proxy let the server trust its X-Forwarded-Proto"
            )
        strays = removals(http.cookie, scope, secure=secure) if self.other_ids else []
        return [*strays, http.cookie.render(cookie, secure=secure)]


_REMEDIES = "keep one of them, or give each a session_cookie of a different name"
_TWO_MIDDLEWARES = (
    "another session middleware serves the same requests, so request.session isn't always this one's: " + _REMEDIES
)
_TWO_COOKIES = (
    "a response sets a cookie named {!r} besides SessionMiddleware's own: one overwrites the other, and users are "
    "signed out. If that is another session middleware: " + _REMEDIES
)
