"""The cookie of PHP's sessions: the id alone, unsigned and percent-encoded.

It has the attributes of php.ini.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, unquote

from itsdangerous import Signer

from .._core.plan import ClearCookie, SetCookie
from .._http.cookie import NOTHING, Found, SessionCookie
from ..errors import ConfigurationError
from .session_ids import is_session_id
from .settings import PHPSettings


class PHPCookie(SessionCookie):
    """Reads and writes the cookie as PHP does. `clock` gives unix seconds.

    Raises `ConfigurationError` for attributes that browsers would drop or misread.
    """

    def __init__(self, settings: PHPSettings, clock: Callable[[], float]) -> None:
        super().__init__(
            settings.name,
            "unused: the cookie isn't signed",
            path=settings.cookie_path,
            same_site=settings.cookie_samesite.lower() or "lax",  # type: ignore[arg-type]
            https_only=settings.cookie_secure,
            domain=settings.cookie_domain or None,
        )
        self._settings = settings
        self._clock = clock

    @property
    def signer(self) -> Signer:
        raise ConfigurationError("PHP's session cookie isn't signed: there is no signer")

    def find(self, scope: Mapping[str, Any]) -> Found:
        """Find the id of the request.

        Of several cookies of the name the first counts, as in PHP.
        """
        for name, header in scope["headers"]:
            if name == b"cookie":
                for cookie in header.split(b";"):
                    if cookie.lstrip().startswith(self.prefix):
                        value = cookie.lstrip()[len(self.prefix) :]
                        session_id = unquote(value.decode("latin-1"), "latin-1")
                        return Found(session_id, session_id) if is_session_id(session_id) else NOTHING
        return NOTHING

    def flags(self, *, secure: bool) -> str:
        """Return the attributes after the path."""
        settings = self._settings
        return "".join(
            [
                f"; domain={settings.cookie_domain}" if settings.cookie_domain else "",
                "; secure" if secure else "",
                "; HttpOnly" if settings.cookie_httponly else "",
                f"; SameSite={settings.cookie_samesite}" if settings.cookie_samesite else "",
            ]
        )

    def render(self, cookie: SetCookie | ClearCookie, *, secure: bool) -> bytes:
        """Return the value of the Set-Cookie header.

        The header hands out an id, or removes the cookie.
        """
        if isinstance(cookie, ClearCookie):
            value, lifetime = "deleted", f"; expires={formatdate(0, usegmt=True)}; Max-Age=0"
        else:
            value = quote(cookie.session_id, safe="")
            lifetime = ""
            if cookie.max_age is not None:
                expires = formatdate(self._clock() + cookie.max_age, usegmt=True)
                lifetime = f"; expires={expires}; Max-Age={cookie.max_age}"
        return f"{self.name}={value}{lifetime}; path={self.path}{self.flags(secure=secure)}".encode("ascii")
