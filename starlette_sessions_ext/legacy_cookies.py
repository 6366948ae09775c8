"""Read the cookies of another session middleware, so that a move signs nobody out."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol, runtime_checkable

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Secret

from ._time import MAX_TIMESTAMP, parse_duration
from .errors import ConfigurationError

MAX_CANDIDATES = 8
"""How many cookies of the name are read in one request; what follows is ignored."""


@dataclass(frozen=True, slots=True)
class LegacySession:
    """The session that another middleware's cookie stands for.

    `identity` is what was signed, or the old session's id: the same in every spelling of a cookie
    that is accepted (base64 has several), and never that of another. `valid_until` (unix seconds)
    is when the cookie ends.
    """

    identity: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    valid_until: int


@runtime_checkable
class LegacyCookie(Protocol):
    """Read the cookies of another session middleware.

    Each becomes a session once, and never again until `valid_until`, also when that session has
    ended: for the same identity `read` must always give the same `valid_until`, or an earlier one.
    """

    name: str | None
    """The cookie's name; None: that of our own cookie."""

    async def read(self, value: str, now: float) -> LegacySession | None:
        """Return the session of a cookie as it was sent, or None.

        None means that it isn't genuine, or no longer valid. `now` is in unix seconds.
        Anyone who can make up a value for which this returns a session has that session. An exception
        fails the request: what can't be read now must not be replaced by an empty session.
        """
        ...


class StarletteCookie:
    """Read the cookie of `starlette.middleware.sessions.SessionMiddleware`.

    `secret_key` and `max_age` (seconds, timedelta or None) are those that it had, `name` its
    `session_cookie` if ours has another. From the day `until` (UTC) on its cookies are ignored and
    the secret can be dropped; cookies that have no `max_age` need one.

    Raises `ConfigurationError` for what can't work.
    """

    def __init__(
        self,
        secret_key: str | Secret,
        *,
        max_age: int | timedelta | None = 14 * 24 * 60 * 60,
        until: date | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(secret_key, str | Secret) or not str(secret_key):
            raise ConfigurationError(
                "StarletteCookie: secret_key must be the non-empty str or Secret that Starlette had"
            )
        if until is None and max_age is None:
            raise ConfigurationError("StarletteCookie: cookies without max_age never end: say until when they are read")
        if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
            raise ConfigurationError("StarletteCookie: until must be a datetime.date")
        if name is not None and (not isinstance(name, str) or not name):
            raise ConfigurationError("StarletteCookie: name must be the str that Starlette had as session_cookie")
        self.name = name
        self._signer = TimestampSigner(str(secret_key))
        self._max_age = MAX_TIMESTAMP if max_age is None else parse_duration(max_age, "max_age")
        self._end = MAX_TIMESTAMP if until is None else int(datetime.combine(until, time(), UTC).timestamp())

    async def read(self, value: str, now: float) -> LegacySession | None:
        """Return the session of a cookie; see `LegacyCookie`.

        As in Starlette a cookie signed in the future isn't valid.
        """
        try:
            payload, signed_at = self._signer.unsign(value, return_timestamp=True)
            data = json.loads(b64decode(payload))
        except (BadSignature, ValueError):
            return None
        start = int(signed_at.timestamp())
        end = min(start + self._max_age + 1, self._end)
        if type(data) is not dict or not data or not start <= now < end:
            return None
        return LegacySession(value.rpartition(".")[0], data, end)


def read_legacy(legacy_cookies: Sequence[LegacyCookie]) -> list[LegacyCookie]:
    """Return the readers of the option `legacy_cookies`.

    Raises `ConfigurationError`.
    """
    given = list(legacy_cookies) if isinstance(legacy_cookies, Iterable) else [None]
    kinds = [one for one in given if isinstance(one, LegacyCookie) and not isinstance(one, type)]
    if len(kinds) < len(given):
        raise ConfigurationError("legacy_cookies must be a list of LegacyCookie, such as [StarletteCookie(...)]")
    return kinds


async def find_legacy(
    kinds: Sequence[LegacyCookie], our_name: str, headers: Iterable[tuple[bytes, bytes]], now: float
) -> LegacySession | None:
    """Return the first session in a request's headers that one of `kinds` can read."""
    for kind in kinds:
        for value in _values(headers, kind.name or our_name):
            session = await kind.read(value, now)
            if session is not None:
                return session
    return None


def _values(headers: Iterable[tuple[bytes, bytes]], name: str) -> Iterator[str]:
    pattern = re.compile(rb"(?:^|;)[ \t]*" + re.escape(name.encode()) + rb"=([^;]*)")
    left = MAX_CANDIDATES
    for header, value in headers:
        for match in pattern.finditer(value) if header == b"cookie" else ():
            if not left:
                return
            left -= 1
            yield match[1].decode("latin-1").strip(" \t")
