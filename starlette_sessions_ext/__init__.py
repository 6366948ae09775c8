"""Server-side sessions for Starlette and FastAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_names as _lazy_names
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
from .middleware import SessionMiddleware
from .serializers import JSONSerializer, Serializer
from .session import Session
from .stores.base import SessionStore, Stored, SupportsOwners
from .stores.memory import MemoryStore

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
__version__ = "0.2.0"

if TYPE_CHECKING:
    from ._core.session_directory import SessionDirectory, SessionInfo
    from .legacy_cookies import LegacyCookie, LegacySession, StarletteCookie
    from .serializers.tagged_json import TaggedJSONSerializer
    from .stores.encrypted import EncryptedStore
    from .stores.handlersocket import HandlerSocketStore
    from .stores.migrating import MigratingStore
    from .stores.mongo import MongoStore
    from .stores.mysql import DatabaseStore
    from .stores.postgresql import PostgreSQLStore
    from .stores.redis import RedisStore
    from .stores.sqlite import SQLiteStore
    from .stores.url import store_from_url
else:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = _lazy_names(
        __name__,
        {
            "DatabaseStore": ".stores.mysql",
            "EncryptedStore": ".stores.encrypted",
            "HandlerSocketStore": ".stores.handlersocket",
            "LegacyCookie": ".legacy_cookies",
            "LegacySession": ".legacy_cookies",
            "MigratingStore": ".stores.migrating",
            "MongoStore": ".stores.mongo",
            "PostgreSQLStore": ".stores.postgresql",
            "RedisStore": ".stores.redis",
            "SQLiteStore": ".stores.sqlite",
            "SessionDirectory": "._core.session_directory",
            "SessionInfo": "._core.session_directory",
            "StarletteCookie": ".legacy_cookies",
            "TaggedJSONSerializer": ".serializers.tagged_json",
            "store_from_url": ".stores.url",
        },
    )
