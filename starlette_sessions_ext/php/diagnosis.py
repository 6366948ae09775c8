"""Look for what would break where PHP and Python share sessions.

`sessions-ext doctor --php` does so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from ..errors import ConfigurationError, CorruptRecord
from ..stores.base import Finding, SessionStore, SupportsDiagnosis, SupportsListing
from .codec import Format, loads
from .errors import PHPDecodeError
from .objects import PHPObject
from .settings import PHP_LIFETIME, PHPSettings

_MOST_ROWS = 1000
"""Sessions that are looked at."""
_CLOCKS_APART = 60
"""Seconds by which the clocks of servers may differ."""
_IGBINARY = (b"\0\0\0\1", b"\0\0\0\2")


def store_of(url: str, settings: PHPSettings, *, timezone: str = "UTC") -> SessionStore:
    """Make the store of PHP's sessions at a save path or a URL.

    The scheme of a URL is mysql, handlersocket or mongodb. A MySQL URL with `#php_session` behind it leads to that
    table. Without it the URL leads to `session_data`.
    """
    url, _, table = url.partition("#") if url.startswith("mysql") else (url, "", "")
    if url.startswith("mysql"):
        from .mysql import PHPDatabaseStore, PHPSessionTableStore

        if table == "php_session":
            return PHPSessionTableStore(url, lifetime=settings.gc_maxlifetime, timezone=timezone)
        return PHPDatabaseStore(url, table=table or "session_data", lifetime=settings.gc_maxlifetime)
    if url.startswith("handlersocket:"):
        from ..stores.url import handlersocket_settings
        from .handlersocket import PHPHandlerSocketStore

        options = handlersocket_settings(url)
        options.pop("mysql_url", None)  # HandlerSocket itself says what there is to say of the table
        return PHPHandlerSocketStore(**options, lifetime=settings.gc_maxlifetime, timezone=timezone)
    if url.startswith("mongodb"):
        from .mongo import PHPMongoStore

        return PHPMongoStore(url, lifetime=settings.gc_maxlifetime)
    if url.startswith(("tcp://", "tls://", "unix://")):
        from .redis import PHPRedisStore

        return PHPRedisStore(url)
    if "/" not in url or "://" in url:
        raise ConfigurationError(
            "PHP's sessions are at a save path, such as /var/lib/php/sessions or tcp://127.0.0.1:6379, or at a URL, "
            "mysql://..., handlersocket://... or mongodb://..."
        )
    from .files import PHPFileStore

    return PHPFileStore(url, format=settings.serialize_handler, lifetime=settings.gc_maxlifetime)


async def diagnose(
    url: str, *, lifetime: int = PHP_LIFETIME, format: Format = "php", timezone: str = "UTC"
) -> list[Finding]:
    """Look at the sessions of PHP behind a URL or save path.

    The options are PHP's settings; see `store_of`.
    """
    settings = PHPSettings(gc_maxlifetime=lifetime, serialize_handler=format)
    async with store_of(url, settings, timezone=timezone) as store:
        return await findings(store, settings)


async def findings(store: SessionStore, settings: PHPSettings) -> list[Finding]:
    """Look at the server, its settings and the live sessions.

    Values of sessions are never shown.
    """
    found = await store.diagnose() if isinstance(store, SupportsDiagnosis) else []
    if isinstance(store, SupportsListing):
        found += await _LiveRows(settings).look(store)
    return found


class _LiveRows:
    """What is seen in the live sessions of a store."""

    def __init__(self, settings: PHPSettings) -> None:
        self._settings = settings
        self._formats: Counter[str] = Counter()
        self._objects: set[tuple[str, str]] = set()
        self._longest = 0

    async def look(self, store: SessionStore) -> list[Finding]:
        """Go through sessions, and say what was seen."""
        assert isinstance(store, SupportsListing)
        count = 0
        async for key in store.all_keys():
            try:
                stored = await store.load(key)
            except CorruptRecord:
                self._formats["no session"] += 1
            else:
                if stored is not None:
                    self._see(stored.data, stored.expires_at - int(time.time()))
            count += 1
            if count == _MOST_ROWS:
                break
        return list(self._findings())

    def _see(self, data: bytes, seconds_left: int) -> None:
        self._longest = max(self._longest, seconds_left)
        format, session = self._read(data)
        self._formats[format] += bool(data)
        for key, value in session.items():
            self._objects.update((one.class_name, key) for one in _objects_in(value))

    def _read(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """Return the format, the expected one if it can be that, and the session."""
        formats: tuple[Format, ...] = get_args(Format)
        expected = self._settings.serialize_handler
        candidates: list[Format] = [expected, *(one for one in formats if one != expected)]
        for format in candidates:
            try:
                return format, loads(data, format)
            except PHPDecodeError:
                pass
        return ("igbinary" if data.startswith(_IGBINARY) else "no session"), {}

    def _findings(self) -> Iterator[Finding]:
        expected, lifetime = self._settings.serialize_handler, self._settings.gc_maxlifetime
        for format, count in sorted(self._formats.items()):
            if count and format == "no session":
                yield Finding(
                    f"{count} sessions can't be read: PHP destroys them when it opens them",
                    "see what else writes there, such as a program with another serializer or compression",
                )
            elif count and format != expected:
                yield Finding(
                    f"{count} sessions are in the format {format}, where {expected} is expected: each side destroys or "
                    "refuses those of the other",
                    "set session.serialize_handler to the same in all of PHP, and in PHPSettings",
                )
        if self._longest > lifetime + _CLOCKS_APART:
            yield Finding(
                f"a session lives for {self._longest} seconds more, where the lifetime is {lifetime}: it changes with "
                "the side that uses the session, or the times are in another time zone",
                "give gc_maxlifetime the value of session.gc_maxlifetime, and for php_session the time zone of PHP",
            )
        for class_name, key in sorted(self._objects):
            yield Finding(
                f"session[{key!r}] holds an object of the class {class_name}, which is opaque to Python",
                "store an array instead where Python needs what is in it",
            )


def _objects_in(value: object) -> Iterator[PHPObject]:
    if isinstance(value, PHPObject):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _objects_in(one)
