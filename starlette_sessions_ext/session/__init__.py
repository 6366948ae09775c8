"""The session that a handler works with."""

from __future__ import annotations

from .intent import NO_INTENT, Intent, SignIn
from .ports import ENDED, SessionPersistence, StoredSession
from .session import Session, new_session
from .tracked_dict import IMMUTABLE

__all__ = [
    "ENDED",
    "IMMUTABLE",
    "NO_INTENT",
    "Intent",
    "Session",
    "SessionPersistence",
    "SignIn",
    "StoredSession",
    "new_session",
]
