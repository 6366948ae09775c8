"""Ids that this process has replaced a moment ago.

A row of PHP has no room to say so.
"""

from __future__ import annotations

from collections import deque


class ReplacedIds:
    """Remembers ids for `seconds`.

    A request that was sent before the client got its new cookie finds no session. If it began one, its cookie would
    take the place of the new one, and sign the visitor out. Other processes, and PHP, know nothing of it.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._times: dict[str, float] = {}
        self._order: deque[tuple[float, str]] = deque()

    def add(self, session_id: str, now: float) -> None:
        """Remember an id. `now` is in unix seconds."""
        self._forget(now)
        self._times[session_id] = now
        self._order.append((now, session_id))

    def replaced_at(self, session_id: str, now: float) -> float | None:
        """Return when an id was replaced, if that is a moment ago."""
        at = self._times.get(session_id)
        return at if at is not None and now < at + self._seconds else None

    def _forget(self, now: float) -> None:
        while self._order and self._order[0][0] + self._seconds <= now:
            at, session_id = self._order.popleft()
            if self._times.get(session_id) == at:
                del self._times[session_id]
