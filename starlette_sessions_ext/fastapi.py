"""The session as a FastAPI dependency, for HTTP and WebSocket routes alike."""

from __future__ import annotations

from typing import Annotated

try:
    from fastapi import Depends
except ImportError as error:  # pragma: no cover - tested in an interpreter without fastapi
    raise ImportError("starlette_sessions_ext.fastapi needs FastAPI: pip install fastapi") from error
from starlette.requests import HTTPConnection

from .errors import ConfigurationError
from .session import Session


def get_session(connection: HTTPConnection) -> Session:
    """The session of the request or WebSocket. Raises `ConfigurationError` without a `SessionMiddleware`."""
    session = connection.scope.get("session")
    if not isinstance(session, Session):
        raise ConfigurationError("there is no session: app.add_middleware(SessionMiddleware, secret_key=...) first")
    session.mark_accessed()
    return session


SessionDep = Annotated[Session, Depends(get_session)]
