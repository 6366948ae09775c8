"""Take over the sessions of PHP when PHP is gone, so that nobody is signed out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import unquote

from ..errors import ConfigurationError
from ..events import logger
from ..legacy_cookies import LegacySession
from ..stores.base import SessionStore
from .codec import Format, loads
from .objects import PHPObject
from .session_ids import is_session_id
from .settings import PHPSettings


class PHPSessionCookie:
    """A `LegacyCookie`: read the cookie of PHP, and its session from PHP's store.

        SessionMiddleware(..., legacy_cookies=[PHPSessionCookie(PHPFileStore(path), until=date(2027, 1, 31))])

    `store` and `settings` are those that `PHPSessionMiddleware` had. From the day `until` (UTC) on the cookies are
    ignored. The application opens and closes `store`, where it needs that.

    Each session becomes one of this package's once. The row of PHP stays as it is. Top-level values that hold objects
    of PHP, or bytes that aren't text, are left out, with a warning that names the key.

    Raises `ConfigurationError` for what can't work.
    """

    def __init__(self, store: SessionStore, settings: PHPSettings | None = None, *, until: date) -> None:
        if not isinstance(store, SessionStore):
            raise ConfigurationError("store must be a SessionStore, such as PHPFileStore(save_path)")
        if not isinstance(until, date) or isinstance(until, datetime):
            raise ConfigurationError("PHPSessionCookie: until must be a datetime.date")
        settings = settings or PHPSettings()
        self.name: str | None = settings.name
        self._store = store
        self._format: Format = settings.serialize_handler
        self._end = int(datetime.combine(until, time(), UTC).timestamp())

    async def read(self, value: str, now: float) -> LegacySession | None:
        """See `LegacyCookie`. Raises `StoreUnavailable` and `CorruptRecord`."""
        session_id = unquote(value, "latin-1")
        if now >= self._end or not is_session_id(session_id):
            return None
        stored = await self._store.load(session_id)
        if stored is None:
            return None
        data = dict(_portable(loads(stored.data, self._format)))
        return LegacySession(session_id, data, self._end) if data else None


def _portable(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if _is_portable(value):
            yield key, value
        else:
            logger.warning("session[%r] of PHP was left out: it holds an object of PHP, or bytes that aren't text", key)


def _is_portable(value: Any) -> bool:
    if isinstance(value, list | dict):
        return all(map(_is_portable, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, PHPObject | bytes)
