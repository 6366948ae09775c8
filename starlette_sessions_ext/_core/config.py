"""The settings that all requests of a middleware share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..events import EventHandler
from ..serializers import Serializer
from .ids import Successors
from .options import warn_of_doubtful
from .repository import SessionRepository
from .rows import Rows

if TYPE_CHECKING:
    from .session_directory import SessionDirectory


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SessionConfig:
    """The settings that all requests of a middleware share."""

    rows: Rows
    repository: SessionRepository
    serializer: Serializer
    empty_body: bytes  # what the serializer makes of an empty session
    overwrites: bool  # on_conflict="merge": the later of two changes of one key wins
    degrades: bool  # on_store_error="anonymous": a session that can't be loaded is an empty one
    emit: EventHandler
    directory: SessionDirectory | None  # where the option `user` is given
    max_sessions_per_user: int | None
    nested_keys: tuple[str, ...] = ()  # whose dicts are merged by their own keys


def make_config(
    rows: Rows,
    secrets: Sequence[str],
    serializer: Serializer,
    *,
    overwrites: bool,
    degrades: bool,
    max_sessions_per_user: int | None,
    emit: EventHandler,
) -> SessionConfig:
    """Make the settings from the options of a middleware."""
    warn_of_doubtful(rows.lifetimes, secrets)
    return SessionConfig(
        rows,
        SessionRepository(rows, Successors(secrets)),
        serializer,
        serializer.dumps({}),
        overwrites,
        degrades,
        emit,
        _make_directory(rows),
        max_sessions_per_user,
    )


def _make_directory(rows: Rows) -> SessionDirectory | None:
    """Return the sessions by user. Only the option `user` loads their module."""
    if rows.owned is None:
        return None
    from .session_directory import SessionDirectory

    return SessionDirectory.configured(rows.owned, rows.lifetimes, rows.clock)
