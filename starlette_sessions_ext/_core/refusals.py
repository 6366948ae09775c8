"""Refuse what can't be saved in this request, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..errors import ConfigurationError, SessionNotSaved, StoreUnavailable

if TYPE_CHECKING:
    from .context import SessionContext


def refuse_degraded() -> NoReturn:
    """Raise `StoreUnavailable`, since the session couldn't be read from the store."""
    raise StoreUnavailable("the session couldn't be loaded when this request began, so nothing of it can be changed")


def refuse_without_users() -> NoReturn:
    """Raise `ConfigurationError`, since the middleware has no option `user`."""
    raise ConfigurationError('SessionMiddleware needs the option user, such as user="user_id"')


def require_writable(context: SessionContext) -> None:
    """Raise `SessionNotSaved` unless a new id can still be handed out."""
    if not context.writable:
        raise SessionNotSaved(
            "the response has started, so no cookie can be sent for a new session id: fill a new session, and "
            "rotate one, before the response. Common causes are a dependency that writes after its `yield`, a "
            "background task, the body of a streamed response, and a WebSocket after `accept`"
        )
