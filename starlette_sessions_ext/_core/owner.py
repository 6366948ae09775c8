"""Read the user of a session from its data, and name its owner to the store. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from ..errors import ConfigurationError, NotSerializable
from ..serializers import Serializer
from ..stores.base import SessionStore, SupportsOwners
from .callables import is_async
from .ids import ID_BYTES, base32

UserOption = str | Callable[[Mapping[str, Any]], str | int | None]

_PURPOSE = b"starlette_sessions_ext.owner "


class Users:
    """Find the user of a session, as the option `user` says.

    The option names a key, or is a function of the session's data.
    """

    def __init__(self, user: UserOption, serializer: Serializer) -> None:
        self.key = user if isinstance(user, str) else None
        if isinstance(user, str) and user:
            self._find: Callable[[Mapping[str, Any]], Any] = lambda data: data.get(user)
        elif callable(user) and not is_async(user):
            self._find = user
        else:
            raise ConfigurationError(
                'user must be the key of a session that names its user, such as "user_id", or a plain function '
                "of the session's data that returns a str, an int or None"
            )
        self._loads = serializer.loads

    def of(self, data: Mapping[str, Any]) -> str | None:
        """Return the user of a session as text; None if no user is signed in.

        Raises `NotSerializable`.
        """
        user = self._find(data)
        if user is None:
            return None
        text = _as_text(user)
        if text is None:
            raise NotSerializable(
                f"the session's user is a {type(user).__name__}{' without text' if user == '' else ''}: the option "
                "user must lead to a non-empty str, an int or None. Nothing was saved."
            )
        return text

    def of_body(self, body: bytes) -> str | None:
        """Return the user of a stored session.

        Raises `NotSerializable` and `CorruptRecord`.
        """
        return self.of(self._loads(body))

    def owner_of_body(self, body: bytes) -> str | None:
        """Return the owner that the store keeps with a session."""
        user = self.of_body(body)
        return None if user is None else owner_of(user)


@lru_cache(2048)
def owner_of(user: str) -> str:
    """Return the owner of a user's rows: 32 characters of a-z2-7.

    It is the first 160 bits of a SHA-256. No secret goes into it, so that a revocation finds all sessions
    after a change of secrets as well. It hides user ids from a glance at the table, and not from anyone who
    tries ids.
    """
    return base32(hashlib.sha256(_PURPOSE + user.encode()).digest()[:ID_BYTES])


def read_user(user: str | int) -> str:
    """Return a user as text.

    Raises TypeError for what no session can have as its user.
    """
    text = _as_text(user)
    if text is None:
        raise TypeError("a user is a non-empty str or an int, as the option user finds it in the session")
    return text


def require_owners(store: SessionStore) -> SupportsOwners:
    """Return a store that finds the sessions of a user.

    Raises `ConfigurationError` for another store.
    """
    if not isinstance(store, SupportsOwners):
        raise ConfigurationError(
            f"{type(store).__name__} doesn't find the sessions of a user: take a store that does, such as those "
            "of this package, or leave the option user out"
        )
    return store


def _as_text(user: object) -> str | None:
    """Return a user as text; None for what can't be one. A bool is no int here."""
    return str(user) if type(user) is int or (type(user) is str and user) else None
