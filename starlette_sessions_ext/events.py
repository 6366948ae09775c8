"""Report what happens to sessions, to the application's `on_event` and to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

logger = logging.getLogger("starlette_sessions_ext")


class EventKind(Enum):
    """The kinds of events, with what each means for the people who run the service."""

    CREATED = "created"
    ROTATED = "rotated"  # a new id, and the old one is worthless
    RENEWED = "renewed"  # a new id, to which the old one leads for a moment
    LEGACY_IMPORTED = "legacy_imported"  # another middleware's cookie became a session, see `legacy_cookies`
    DESTROYED = "destroyed"
    CONFLICT_MERGED = "conflict_merged"  # a parallel request had written; both changes are kept
    CONFLICT_OVERWRITTEN = "conflict_overwritten"  # both had changed the same key; one change was dropped
    WRITE_DROPPED = "write_dropped"  # the session was gone when its changes should be saved
    RECORD_CORRUPT = "record_corrupt"  # the stored row isn't a record of this session; it was left alone
    DUPLICATE_COOKIES = "duplicate_cookies"  # two valid cookies of our name: perhaps an attack (cookie tossing)


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One event. None of its fields opens a session.

    `public_id` names the session, as `Session.public_id`. `owner` names its user to the store, where the
    option `user` is given. `key_digest` names the row, which is another one after a new id. They are None
    where there is none.
    """

    kind: EventKind
    public_id: str | None = None
    owner: str | None = None
    key_digest: str | None = None


EventHandler = Callable[[SessionEvent], None]

_SUSPICIOUS = frozenset({EventKind.RECORD_CORRUPT, EventKind.DUPLICATE_COOKIES})


def log_event(event: SessionEvent) -> None:
    """Log an event: suspicious ones as warnings, the others for debugging."""
    level = logging.WARNING if event.kind in _SUSPICIOUS else logging.DEBUG
    logger.log(level, "session %s: %s", event.public_id or event.key_digest or "-", event.kind.value)
