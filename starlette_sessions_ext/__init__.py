"""Server-side sessions for Starlette and FastAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._core.session_directory import SessionDirectory, SessionInfo
from .access import get_session, get_user, require_session, session_required
from .errors import (
    ConfigurationError,
    CorruptRecord,
    InvalidSessionData,
    NotSerializable,
    SessionConflict,
    SessionError,
    SessionGone,
    SessionNotSaved,
    SessionTooLarge,
    SessionUnavailable,
    StoreError,
    StoreFull,
    StoreTimeout,
    StoreUnavailable,
)
from .events import EventKind, SessionEvent
from .legacy_cookies import LegacyCookie, LegacySession, StarletteCookie
from .middleware import SessionMiddleware
from .serializers import JSONSerializer, Serializer, TaggedJSONSerializer
from .session import Session
from .stores.base import SessionStore, Stored, SupportsOwners
from .stores.handlersocket import HandlerSocketStore
from .stores.memory import MemoryStore
from .stores.migrating import MigratingStore
from .stores.sqlite import SQLiteStore
from .stores.url import store_from_url

if TYPE_CHECKING:
    from .stores.encrypted import EncryptedStore
    from .stores.mongo import MongoStore
    from .stores.mysql import DatabaseStore
    from .stores.postgresql import PostgreSQLStore
    from .stores.redis import RedisStore

__all__ = [
    "ConfigurationError",
    "CorruptRecord",
    "DatabaseStore",
    "EncryptedStore",
    "EventKind",
    "HandlerSocketStore",
    "InvalidSessionData",
    "JSONSerializer",
    "LegacyCookie",
    "LegacySession",
    "MemoryStore",
    "MigratingStore",
    "MongoStore",
    "NotSerializable",
    "PostgreSQLStore",
    "RedisStore",
    "SQLiteStore",
    "Serializer",
    "Session",
    "SessionConflict",
    "SessionDirectory",
    "SessionError",
    "SessionEvent",
    "SessionGone",
    "SessionInfo",
    "SessionMiddleware",
    "SessionNotSaved",
    "SessionStore",
    "SessionTooLarge",
    "SessionUnavailable",
    "StarletteCookie",
    "StoreError",
    "StoreFull",
    "StoreTimeout",
    "StoreUnavailable",
    "Stored",
    "SupportsOwners",
    "TaggedJSONSerializer",
    "get_session",
    "get_user",
    "require_session",
    "session_required",
    "store_from_url",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a store that needs a driver when it is asked for, so that the package needs none of them."""
    if name == "DatabaseStore":
        from .stores.mysql import DatabaseStore

        return DatabaseStore
    if name == "EncryptedStore":
        from .stores.encrypted import EncryptedStore

        return EncryptedStore
    if name == "MongoStore":
        from .stores.mongo import MongoStore

        return MongoStore
    if name == "PostgreSQLStore":
        from .stores.postgresql import PostgreSQLStore

        return PostgreSQLStore
    if name == "RedisStore":
        from .stores.redis import RedisStore

        return RedisStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
