"""One ASGI request or socket: its session is saved, and the cookie sent, as the response starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from .._core.context import ClearCookie, SessionConfig, SessionContext, SetCookie
from ..errors import ConfigurationError, SessionGone
from ..events import logger
from ..session import Session
from .cookie import SessionCookie
from .headers import is_local, is_streamed, keep_from_caches, set_cookies, sets_cookie, vary_by_cookie
from .request_state import RequestState
from .stray_cookies import removals

STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


@dataclass(slots=True)
class HTTPConfig:
    """What all exchanges of a middleware share of the HTTP side."""

    cookie: SessionCookie
    state_attr: str
    save_when: Callable[[int], bool] | None
    _warnings: set[str] = field(default_factory=set)

    def warn_once(self, message: str) -> None:
        """Log a warning, the first time only."""
        if message not in self._warnings:
            self._warnings.add(message)
            logger.warning(message)


class Exchange(SessionContext):
    """The session of one request, with the messages that the application sends.

    `failure` is why the response that was about to start couldn't be saved.
    """

    __slots__ = ("_http", "_outer", "_scope", "_send_message", "failure", "saves", "started")

    def __init__(self, config: SessionConfig, http: HTTPConfig, scope: Scope, send: Send) -> None:
        super().__init__(config, is_socket=scope["type"] == "websocket")
        self._http = http
        self._scope = scope
        self._send_message = send
        self._outer: tuple[MutableMapping[str, Any], object] | None = None
        self.failure: Exception | None = None
        self.saves = True  # what `save_when` said
        self.started = False

    # The scope

    def publish(self) -> None:
        """Put the session into the scope. Raises `ConfigurationError` where its name is taken."""
        scope, name = self._scope, self._http.state_attr
        state = scope.setdefault("state", {})
        outer = scope.get("session")
        if name in state and not isinstance(state, RequestState) and not isinstance(state[name], Session):
            raise ConfigurationError(f"request.state.{name} is taken by the application: choose another state_attr")
        if outer is not None and not isinstance(outer, Session):
            self._http.warn_once(_TWO_MIDDLEWARES)
        self._outer = state, outer
        scope["state"] = RequestState(state, name, self.session)
        scope["session"] = self.session

    def close(self) -> None:
        """The request is over. The session leaves the server's state, and an outer session is back."""
        super().close()
        if self._outer is not None:
            self._scope["state"], outer = self._outer
            if outer is not None:
                self._scope["session"] = outer

    def watch(self, receive: Receive) -> Receive:
        """Return `receive` of a socket. Each message is a use of its session."""
        self.start_keep_alive()

        async def receive_message() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                await self.keep_alive()
            return message

        return receive_message

    # The response

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application, after saving if it starts the response."""
        if self.started or message["type"] not in STARTS:
            return self._send_message(message)
        if self.failure is not None and message.get("status", 200) >= 400:
            self.started = True  # after a failed save an error page goes out as it is
            return self._send_message(message)
        return self._start(message)

    async def save_late(self) -> None:
        """Save what changed after the response had started, or on a socket that was refused."""
        if not self.started and not self._is_socket:
            return  # there was no response
        self.writable = False
        if not self.has_work():
            return
        if self._is_socket and not self.started and self.entry is None:
            logger.debug("a refused WebSocket wrote to a new session, which isn't saved")
            return
        with suppress(SessionGone):
            await self.commit()

    async def _start(self, message: Message) -> None:
        accessed = self.session.accessed  # by the application
        try:
            self.saves = self._is_saved(message)
            if self.saves and self.has_work():
                with suppress(SessionGone):  # another request's logout or rotation stands; an event says so
                    await self.commit()
        except Exception as error:
            self.failure = error
            raise
        self.failure = None
        self.writable = False
        self._write_headers(message, accessed)
        self.started = True
        await self._send_message(message)

    def _is_saved(self, message: Message) -> bool:
        """Return whether this response saves the session. An accepted socket always does."""
        save_when = self._http.save_when
        if save_when is None or "status" not in message:
            return True
        try:
            return bool(save_when(message["status"]))
        except Exception:
            logger.exception("save_when raised, so the session is saved")
            return True

    def _write_headers(self, message: Message, accessed: bool) -> None:
        http, cookie = self._http, self.cookie
        headers = list(message.get("headers", ()))
        if sets_cookie(headers, http.cookie.name):
            http.warn_once(_TWO_COOKIES.format(http.cookie.name))
        elif not isinstance(self._scope.get("session"), Session):
            http.warn_once(_TWO_MIDDLEWARES)
        if not accessed and cookie is None and not is_streamed(message, headers):
            return
        message["headers"] = headers
        vary_by_cookie(headers)
        if self.session._degraded:
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
        strays = removals(http.cookie, scope, secure=secure) if self._other_ids else []
        return [*strays, http.cookie.render(cookie, secure=secure)]


_REMEDIES = "keep one of them, or give each a session_cookie of a different name"
_TWO_MIDDLEWARES = (
    "another session middleware serves the same requests, so request.session isn't always this one's: " + _REMEDIES
)
_TWO_COOKIES = (
    "a response sets a cookie named {!r} besides SessionMiddleware's own: one overwrites the other, and users are "
    "signed out. If that is another session middleware: " + _REMEDIES
)
