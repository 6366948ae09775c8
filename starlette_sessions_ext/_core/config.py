"""What all requests of a middleware share."""

from __future__ import annotations

from dataclasses import dataclass

from ..events import EventHandler
from ..serializers import Serializer
from .directory import SessionDirectory
from .repository import SessionRepository
from .rows import Rows


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What all requests of a middleware share."""

    rows: Rows
    repository: SessionRepository
    serializer: Serializer
    empty_body: bytes  # what the serializer makes of an empty session
    overwrites: bool  # on_conflict="merge": the later of two changes of one key wins
    degrades: bool  # on_store_error="anonymous": a session that can't be loaded is an empty one
    emit: EventHandler
    directory: SessionDirectory | None = None  # where the option `user` is given
    max_sessions_per_user: int | None = None
