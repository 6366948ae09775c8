"""Check the options of `SessionMiddleware`. Each message names its option. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection

from ..errors import ConfigurationError, StoreUnavailable
from ..events import logger
from ..stores.base import SessionStore
from ..stores.memory import MemoryStore
from .callables import is_async
from .lifetimes import Lifetimes
from .secret_keys import is_published, is_short

if TYPE_CHECKING:
    from starlette.responses import Response

UnavailableHandler = Callable[[HTTPConnection, StoreUnavailable], "Response | Awaitable[Response]"]


def check_choices(on_conflict: str, on_store_error: str, state_attr: str) -> None:
    """Refuse what isn't one of the choices, and a name that can't be an attribute."""
    if on_conflict not in ("merge", "raise"):
        raise ConfigurationError('on_conflict must be "merge" or "raise"')
    if on_store_error not in ("unavailable", "anonymous"):
        raise ConfigurationError('on_store_error must be "unavailable" or "anonymous"')
    if not isinstance(state_attr, str) or not state_attr.isidentifier():
        raise ConfigurationError("state_attr must be a name that can stand after request.state.")


def check_callbacks(clock: Any, describe: Any, unavailable_handler: Any, **optional: Any) -> None:
    """Refuse what can't be called, and async functions where nothing awaits them."""
    given = {name: function for name, function in optional.items() if function is not None}
    for name, function in {"clock": clock, "describe": describe, **given}.items():
        if not callable(function) or is_async(function):
            raise ConfigurationError(f"{name} must be a plain function, which isn't async")
    if unavailable_handler is not None and not callable(unavailable_handler):
        raise ConfigurationError("unavailable_handler must be a function of the connection and the StoreUnavailable")


def read_store(store: SessionStore | None, clock: Callable[[], float]) -> SessionStore:
    """Return the store, or one in memory if none is given.

    Raises `ConfigurationError` for an object that is no store.
    """
    if store is None:
        logger.warning("sessions are kept in this process's memory: give SessionMiddleware a store to keep them")
        return MemoryStore(clock=clock)
    if not isinstance(store, SessionStore):
        raise ConfigurationError("store must be a SessionStore, such as SQLiteStore(path) or RedisStore(url)")
    return store


def check_limit(max_sessions_per_user: int | None, user: object) -> None:
    """Refuse a limit that can't be kept."""
    if max_sessions_per_user is None:
        return
    if type(max_sessions_per_user) is not int or max_sessions_per_user < 1 or user is None:
        raise ConfigurationError("max_sessions_per_user must be an int of 1 or more, and needs the option user")


def warn_of_doubtful(lifetimes: Lifetimes, secrets: Sequence[str]) -> None:
    """Log settings that work, but hardly as the application means them."""
    if lifetimes.max_age is not None and lifetimes.max_age <= 0:
        logger.warning("max_age=%s ends every session at once: give seconds above 0, or None", lifetimes.max_age)
    if any(map(is_short, secrets)):
        logger.warning("secret_key is shorter than 16 bytes: make one with secrets.token_hex()")
    if any(map(is_published, secrets)):
        logger.warning("secret_key is a placeholder of the documentation: make one with secrets.token_hex()")
