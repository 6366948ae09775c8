"""The exceptions that applications and stores share, all `SessionError`.

Messages say what happened, where, and what to do next. None of them ever holds
a session id, a cookie, a secret or session data.
"""

from __future__ import annotations


class SessionError(Exception):
    """Base class of all errors of this package."""


class ConfigurationError(SessionError, ValueError):
    """The settings contradict each other, or can't work as given."""


class NotSerializable(SessionError, TypeError):
    """A value in the session can't be stored. Nothing was written."""


class InvalidSessionData(SessionError):
    """The session's value under a key isn't of the class given to `Session.typed`.

    It is left as it is.
    """


class CorruptRecord(SessionError):
    """The stored bytes aren't a record of this session. They are left as they are."""


class SessionConflict(SessionError):
    """A parallel request changed the same key, or the retries ran out.

    The first needs `on_conflict="raise"`.
    """


class SessionGone(SessionError):
    """Another request ended or rotated the session, or it expired.

    There is nothing to save to.
    """


class SessionNotSaved(SessionError):
    """A new session was filled after the response had started.

    No cookie could be sent for it.
    """


class StoreError(SessionError):
    """The store failed.

    Whether a write took place is unknown unless a subclass says so.
    """


class StoreUnavailable(StoreError):
    """The store can't be reached, or refuses to serve."""


class StoreTimeout(StoreUnavailable):
    """The store didn't answer within its deadline."""


class SessionUnavailable(StoreUnavailable):
    """The store answered that it can't serve this session now, such as for a lock.

    It serves others.
    """


class StoreFull(StoreUnavailable):
    """The store has no room for what was to be written.

    It still serves reads and smaller sessions.
    """


class SessionTooLarge(StoreError):
    """The session is larger than the store can hold without loss. Nothing was written."""
