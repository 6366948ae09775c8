"""Sessions that a PHP application and this one read and write together.

They are in PHP's own format.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from starlette.types import ASGIApp

from .._core.lifetimes import Lifetimes
from .._core.options import UnavailableHandler
from .._core.sign_in_details import describe
from .._http.exchange import HTTPConfig
from .._http.path_filter import Exclude
from ..errors import ConfigurationError
from ..events import EventHandler
from ..middleware import SessionMiddleware
from ..stores.base import SessionStore
from .codec import Format, dumps, loads
from .cookie import PHPCookie
from .repository import PHPRepository, PHPRows
from .settings import PHPSettings

_SYMFONY = ("_sf2_attributes", "_symfony_flashes")
"""Where Symfony has the variables of an application, and its messages, one level down."""
_FROM_SETTINGS = "PHPSettings has it, under the name that php.ini has"
_NO_ENVELOPE = "it needs more than a session of PHP keeps: its data, and when it was last used"
_REASONS = {
    "secret_key": "PHP's cookie isn't signed",
    "session_cookie": _FROM_SETTINGS,
    "max_age": _FROM_SETTINGS,
    "path": _FROM_SETTINGS,
    "domain": _FROM_SETTINGS,
    "same_site": _FROM_SETTINGS,
    "https_only": _FROM_SETTINGS,
    "idle_timeout": _FROM_SETTINGS,
    "serializer": _FROM_SETTINGS,
    "partitioned": "PHP before 8.5 can't send such a cookie",
    "absolute_timeout": _NO_ENVELOPE,
    "renew_after": _NO_ENVELOPE,
    "legacy_cookies": _NO_ENVELOPE,
    "user": _NO_ENVELOPE,
    "describe": _NO_ENVELOPE,
    "max_sessions_per_user": _NO_ENVELOPE,
}


class PHPSessionMiddleware(SessionMiddleware):
    """`SessionMiddleware` for sessions that PHP reads and writes as well.

    `store`: one whose rows are PHP's, such as `PHPFileStore`.
    `settings`: the session settings of the PHP application.

    The other parameters are those of `SessionMiddleware`. Parallel writes of Python are merged with each other and
    with PHP's. Whether PHP overwrites what Python wrote depends on PHP's save handler: the files handler doesn't.
    An id that the store doesn't know is never adopted, and leads to no cookie until something is stored.

    Raises `ConfigurationError` for settings that can't work, and for options that PHP's sessions have no place for.
    """

    def __init__(
        self,
        app: ASGIApp,
        /,
        store: SessionStore,
        settings: PHPSettings | None = None,
        *,
        touch_interval: int | timedelta | None = None,
        on_conflict: Literal["merge", "raise"] = "merge",
        on_store_error: Literal["unavailable", "anonymous"] = "unavailable",
        exclude: Exclude = None,
        save_if: Callable[[int], bool] | None = None,
        on_event: EventHandler | None = None,
        unavailable_handler: UnavailableHandler | None = None,
        state_attr: str = "session",
        clock: Callable[[], float] = time.time,
        **unsupported: Any,
    ) -> None:
        settings = PHPSettings() if settings is None else settings
        _check(store, settings, unsupported)
        super().__init__(
            app,
            secrets.token_hex(),
            max_age=None,
            store=store,
            idle_timeout=settings.gc_maxlifetime,
            touch_interval=touch_interval,
            serializer=PHPSerializer(settings.serialize_handler),
            on_conflict=on_conflict,
            on_store_error=on_store_error,
            exclude=exclude,
            save_if=save_if,
            on_event=on_event,
            unavailable_handler=unavailable_handler,
            state_attr=state_attr,
            clock=clock,
        )
        ours, successors = self._rows, self._config.repository.successors
        max_age = settings.cookie_lifetime or None
        lifetimes = Lifetimes(max_age, settings.gc_maxlifetime, touch_interval=ours.lifetimes.touch_interval)
        rows = PHPRows(store, lifetimes, clock, ours.guard, format=settings.serialize_handler)
        ids = (settings.sid_length, settings.sid_bits_per_character)
        self._rows = rows
        repository = PHPRepository(rows, successors, *ids)
        self._config = replace(self._config, rows=rows, repository=repository, nested_keys=_SYMFONY)
        cookie = PHPCookie(settings, clock)
        self._http = HTTPConfig(cookie, state_attr, save_if, describe)
        self._find = cookie.find


def _check(store: SessionStore, settings: PHPSettings, unsupported: Mapping[str, Any]) -> None:
    """Refuse what can't work. Raises `ConfigurationError`."""
    for name in unsupported:
        reason = _REASONS.get(name, "there is no such option")
        raise ConfigurationError(f"PHPSessionMiddleware doesn't take {name}: {reason}")
    if not isinstance(settings, PHPSettings):
        raise ConfigurationError("settings must be a PHPSettings")
    lifetime = getattr(store, "lifetime", settings.gc_maxlifetime)
    if lifetime != settings.gc_maxlifetime:
        raise ConfigurationError(
            f"the store's lifetime is {lifetime} seconds, and gc_maxlifetime {settings.gc_maxlifetime}: "
            "give both the value of PHP's session.gc_maxlifetime"
        )


class PHPSerializer:
    """A `Serializer` for one of PHP's formats."""

    def __init__(self, format: Format) -> None:
        self._format: Format = format

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        return dumps(data, self._format)

    def loads(self, raw: bytes) -> dict[str, Any]:
        return loads(raw, self._format)
