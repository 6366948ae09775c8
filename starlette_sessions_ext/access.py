"""Find the session of a request or WebSocket, and require a signed-in user."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection
from starlette.types import Scope

from ._http.path_filter import EXCLUDED
from ._time import parse_duration
from .errors import ConfigurationError
from .session import Session

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

SIGN_IN_REQUIRED = "sign_in_required"
"""The detail of a 401, and a socket's reason: nobody is signed in."""

SIGN_IN_TOO_OLD = "insufficient_user_authentication"  # RFC 9470, 3
"""The same where the sign-in is longer ago than `signed_in_within`."""

_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


def get_session(connection: HTTPConnection) -> Session:
    """Return the session of the request or WebSocket.

    Raises `ConfigurationError`, which says why, where there is none.
    """
    session = find_session(connection)
    session.mark_accessed()
    return session


def get_user(connection: HTTPConnection) -> str | None:
    """Return the user of the session now, as text; None if no user is signed in.

    Only with the option `user` of `SessionMiddleware`. Raises `ConfigurationError` without it, and
    `NotSerializable` for what can't be a user.
    """
    return get_session(connection)._user()


def find_session(connection: HTTPConnection) -> Session:
    """Return the session as `get_session` does, before the response depends on it."""
    session = connection.scope.get("session")
    if not isinstance(session, Session):
        raise ConfigurationError(f"there is no session: {_reason(connection.scope)}")
    return session


class RequireSession:
    """A dependency of `require_session`: it returns a connection's session."""

    def __init__(self, signed_in_within: int | timedelta | None) -> None:
        self._within = None if signed_in_within is None else parse_duration(signed_in_within, "signed_in_within")

    async def __call__(self, connection: HTTPConnection) -> Session:
        """Return the session.

        Raises `HTTPException`, or `WebSocketException` for a WebSocket.
        """
        return self.check(connection)

    def check(self, connection: HTTPConnection) -> Session:
        """Return the session. Raises as a call does."""
        session = get_session(connection)
        if session._user() is None:
            raise _refusal(connection, SIGN_IN_REQUIRED, "Session")
        age = session.sign_in_age
        if self._within is not None and (age is None or age > self._within):
            challenge = f'Session error="{SIGN_IN_TOO_OLD}", max_age={self._within}'
            raise _refusal(connection, SIGN_IN_TOO_OLD, challenge)
        return session


def require_session(signed_in_within: int | timedelta | None = None) -> RequireSession:
    """Return a dependency that lets signed-in users pass, and gives their session.

        session: Annotated[Session, Depends(require_session(signed_in_within=300))]

    Without a user a request is answered with 401, and also where the sign-in is longer ago than
    `signed_in_within` (seconds or timedelta). The detail of the 401 tells them apart: `SIGN_IN_REQUIRED`,
    `SIGN_IN_TOO_OLD`. The header WWW-Authenticate names the second as well (RFC 9470). An exception handler
    for 401 can make them a redirect to a page that asks for a password. A WebSocket is closed with 1008, and
    the same as the reason. Needs the option `user` of the middleware.
    """
    return RequireSession(signed_in_within)


def session_required(signed_in_within: int | timedelta | None = None) -> Callable[[Endpoint], Endpoint]:
    """Decorate an endpoint of Starlette so that it is called for signed-in users only.

    It refuses as `require_session` does. The endpoint is a function of a request or a WebSocket, or a
    method of `HTTPEndpoint`.
    """
    check = RequireSession(signed_in_within).check

    def decorate(endpoint: Any) -> Any:
        if iscoroutinefunction(endpoint):

            @functools.wraps(endpoint)
            async def checked(*args: Any, **kwargs: Any) -> Any:
                check(_connection_of(args))
                return await endpoint(*args, **kwargs)

            return checked

        @functools.wraps(endpoint)
        def checked_in_thread(*args: Any, **kwargs: Any) -> Any:
            check(_connection_of(args))
            return endpoint(*args, **kwargs)

        return checked_in_thread

    return decorate


def _connection_of(args: tuple[Any, ...]) -> HTTPConnection:
    for argument in args:
        if isinstance(argument, HTTPConnection):
            return argument
    raise TypeError("session_required decorates endpoints that are given a Request or a WebSocket")


def _refusal(connection: HTTPConnection, code: str, challenge: str) -> Exception:
    if connection.scope["type"] == "websocket":
        return WebSocketException(_POLICY_VIOLATION, code)
    return HTTPException(401, code, {"WWW-Authenticate": challenge})


def _reason(scope: Scope) -> str:
    if "session" in scope:
        return (
            "request.session is that of another session middleware, such as Starlette's own: "
            "remove that one, and add starlette_sessions_ext.SessionMiddleware"
        )
    if EXCLUDED in scope:
        return (
            "the option exclude of SessionMiddleware leaves this request without a session; "
            "change it, or don't ask here"
        )
    return "app.add_middleware(SessionMiddleware, secret_key=...) first"
