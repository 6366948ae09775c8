"""What a response says about the session's cookie: nothing, a new one, or that it is gone."""

from __future__ import annotations

from .cookie import Clear, Issue
from .errors import SessionNotSaved


class Reply:
    """The cookie of one response. `cookie` is None where there is nothing to say.

    `is_sent`: the headers are out, so no new id can be handed out.
    """

    cookie: Issue | Clear | None = None
    is_sent = False
    outdated = False  # the browser's cookie was signed by an older secret
    _known_id: str | None = None  # what the browser has, or is about to be given

    def came_with(self, session_id: str, outdated: bool) -> None:
        """Note which id leads the browser to its session."""
        self._known_id = session_id
        self.outdated = outdated

    def owes(self, session_id: str) -> bool:
        """Whether the browser has another id than its session, and can still be told."""
        return not self.is_sent and session_id != self._known_id

    def is_due(self, session_id: str) -> bool:
        """Whether the cookie has to go out in any case: it is signed by an older secret, or names another id."""
        return self.outdated or self.owes(session_id)

    def issue(self, session_id: str, max_age: int | None) -> None:
        self.cookie = Issue(session_id, max_age)
        self._known_id = session_id
        self.outdated = False

    def clear(self) -> None:
        self.cookie = Clear()
        self._known_id = None

    def check(self) -> None:
        """Raise `SessionNotSaved` if it is too late for a new id."""
        if self.is_sent:
            raise SessionNotSaved(
                "the response has started, so no cookie can be sent for a new session id: "
                "fill a new session, and rotate one, before the response"
            )
