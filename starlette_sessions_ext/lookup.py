"""Find the session of a request or WebSocket, with its type."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import Scope

from ._http.path_filter import EXCLUDED
from .errors import ConfigurationError
from .session import Session


def get_session(connection: HTTPConnection) -> Session:
    """Return the session of the request or WebSocket.

    Raises `ConfigurationError`, which says why, where there is none.
    """
    session = find_session(connection)
    session.mark_accessed()
    return session


def find_session(connection: HTTPConnection) -> Session:
    """Return the session as `get_session` does, for a response that doesn't depend on it yet."""
    session = connection.scope.get("session")
    if not isinstance(session, Session):
        raise ConfigurationError(f"there is no session: {_reason(connection.scope)}")
    return session


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
