"""The public attributes of Starlette's session middleware.

Code that reads them works, and code that assigns to them gets a clear error.
"""

from __future__ import annotations

from typing import Any

from itsdangerous import Signer

from .._core.config import SessionConfig
from ..errors import ConfigurationError
from .exchange import HTTPConfig


class StarletteAttributes:
    """The public attributes of Starlette's middleware, for reading.

    An assignment to them raises `ConfigurationError`.
    """

    _config: SessionConfig
    _http: HTTPConfig

    @property
    def signer(self) -> Signer:
        """The signer of the cookie's value."""
        return self._http.cookie.signer

    @property
    def session_cookie(self) -> str:
        """The cookie's name."""
        return self._http.cookie.name

    @property
    def max_age(self) -> int | None:
        """The cookie's lifetime in seconds; None: until the browser closes."""
        return self._config.rows.lifetimes.max_age

    @property
    def path(self) -> str:
        """The cookie's path."""
        return self._http.cookie.path

    @property
    def security_flags(self) -> str:
        """The cookie's attributes after path and lifetime.

        With https_only="auto" they are those over https.
        """
        cookie = self._http.cookie
        return cookie.flags(secure=cookie.is_secure("https"))

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse an assignment that would have no effect. Raises `ConfigurationError`."""
        if name in _STARLETTE_OPTIONS:
            raise ConfigurationError(f"SessionMiddleware.{name} can't be assigned: give {_STARLETTE_OPTIONS[name]}")
        super().__setattr__(name, value)


_STARLETTE_OPTIONS = {
    "signer": "secret_key to the constructor",
    "session_cookie": "session_cookie to the constructor, or make one middleware for each name",
    "max_age": "max_age to the constructor",
    "path": "path to the constructor",
    "security_flags": "same_site, https_only, domain and partitioned to the constructor",
}
