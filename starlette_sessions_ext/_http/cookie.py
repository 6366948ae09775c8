"""The session cookie: finding it in a request, and rendering it for a response. Pure.

RFC 6265bis says what a cookie may look like; sections are named where a rule comes from there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Literal

from itsdangerous import Signer

from .._core.plan import ClearCookie, SetCookie
from .._core.secret_keys import SecretKey
from ..errors import ConfigurationError
from .cookie_signer import LENGTH, VALUE, CookieSigner, Forged, Found

SameSite = Literal["lax", "strict", "none"]
HTTPSOnly = bool | Literal["auto"]
Headers = Collection[tuple[bytes, bytes]]

MAX_CANDIDATES = 8
"""How many well-formed cookies of our name are verified in one request; what follows is ignored."""

VERIFIED_CACHE_SIZE = 2048
"""How many values that verified are known again without being verified: a page is many requests."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_PATH = re.compile(r"/[\x21-\x2b\x2d-\x3a\x3c-\x7e]*")  # no control character, space, comma, semicolon
_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"


NOTHING = Found()


class SessionCookie:
    """The one cookie of a middleware: its name, its attributes and the keys that sign it.

    Raises `ConfigurationError` for what browsers would drop or misread.
    """

    def __init__(
        self,
        name: str,
        secret_key: SecretKey,
        *,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: HTTPSOnly = "auto",
        domain: str | None = None,
        partitioned: bool = False,
    ) -> None:
        _check_attributes(name, path, same_site, domain)
        _check_secure(name, path, same_site, https_only, domain, partitioned)
        self.name = name
        needs_secure = same_site == "none" or partitioned or _is_prefixed(name)
        self.secure: HTTPSOnly = True if https_only == "auto" and needs_secure else https_only
        self._single = name.lower().startswith("__host-")
        self.path = path
        self.domain = domain
        self._signer = CookieSigner(name, secret_key)
        self._verify = lru_cache(VERIFIED_CACHE_SIZE)(self._verify_anew)  # keeps no forgery, for that raises
        self.prefix = name.encode() + b"="
        self._pattern = re.compile(re.escape(self.prefix) + b"(" + VALUE + rb")(?=;|\Z)")
        self._flags = f"httponly; samesite={same_site}"
        self._partitioned = "; partitioned" if partitioned else ""

    @property
    def signer(self) -> Signer:
        """The signer of what is sent now."""
        return self._signer.itsdangerous

    def is_secure(self, scheme: str | None) -> bool:
        """Return whether a cookie sent over this scheme is marked Secure."""
        return scheme in ("https", "wss") if self.secure == "auto" else self.secure

    def flags(self, *, secure: bool) -> str:
        """Return the attributes after path and lifetime, as Starlette's `security_flags`."""
        domain = f"; domain={self.domain}" if self.domain else ""
        return self._flags + ("; secure" if secure else "") + domain + self._partitioned

    def find(self, headers: Headers, scheme: str | None = None) -> Found:
        """Find our cookies in the request's headers: those of our name that verify.

        Several Cookie headers (HTTP/2) and several cookies of the name are looked at, up to
        `MAX_CANDIDATES`. Under a `__Host-` name no browser holds two, so two different ids count as
        none. `scheme` is the request's: over https a cookie that was sent without Secure is outdated.
        """
        header = None
        for name, value in headers:
            if name == b"cookie":
                if header is not None:  # HTTP/2 may split it (RFC 9113, 8.2.3)
                    return self._find_in([value for name, value in headers if name == b"cookie"], scheme)
                header = value
        if header is None:
            return NOTHING
        before, _, value = header.partition(self.prefix)
        if len(value) != LENGTH or (before and before[-2:] != b"; "):
            return self._find_among(header, before, value, scheme)
        try:
            return self._verify(value, scheme)
        except Forged:
            return NOTHING

    def sign(self, session_id: str, *, secure: bool = False) -> str:
        """Return the cookie's value for an id. `secure`: it is going to be sent with Secure."""
        return self._signer.sign(session_id, secure=secure)

    def render(self, cookie: SetCookie | ClearCookie, *, secure: bool) -> bytes:
        """Return the value of the Set-Cookie header that hands out an id, or removes the cookie.

        A removal has the same attributes, is long expired (5.7), and empty.
        """
        if isinstance(cookie, ClearCookie):
            return self.render_removal(self.path, self.domain, secure=secure)
        lifetime = "" if cookie.max_age is None else f"; Max-Age={cookie.max_age}"
        value = self.sign(cookie.session_id, secure=secure)
        return f"{self.name}={value}; path={self.path}{lifetime}; {self.flags(secure=secure)}".encode("ascii")

    def render_removal(self, path: str, domain: str | None, *, secure: bool) -> bytes:
        """Return the Set-Cookie header that removes a cookie of our name with this path and domain."""
        flags = self._flags + ("; secure" if secure else "") + (f"; domain={domain}" if domain else "")
        return f"{self.name}=; path={path}; expires={_EPOCH}; {flags}{self._partitioned}".encode("ascii")

    def _find_among(self, header: bytes, before: bytes, value: bytes, scheme: str | None) -> Found:
        """Find our cookie where others follow it. `before` and `value` are what our name stands between."""
        if not value:
            return NOTHING
        if (before and before[-2:] != b"; ") or value[LENGTH : LENGTH + 1] != b";" or value.find(self.prefix) >= 0:
            return self._find_in([header], scheme)
        try:
            return self._verify(value[:LENGTH], scheme)
        except Forged:
            return NOTHING

    def _find_in(self, cookie_headers: Sequence[bytes], scheme: str | None) -> Found:
        """Find our cookies in headers that hold several of our name, or hold it in an unusual form."""
        found = NOTHING
        for value in self._candidates(cookie_headers):
            try:
                verified = self._verify(value, scheme)
            except Forged:
                continue
            if found is NOTHING:
                found = verified
            elif verified.session_ids[0] not in found.session_ids:
                found = Found((*found.session_ids, *verified.session_ids), found.outdated, duplicates=True)
        return found._replace(session_ids=()) if self._single and found.duplicates else found

    def _verify_anew(self, value: bytes, scheme: str | None) -> Found:
        return self._signer.verify(value, secure=self.is_secure(scheme))

    def _candidates(self, cookie_headers: Sequence[bytes]) -> list[bytes]:
        """Return the values of what looks like our cookie."""
        candidates: list[bytes] = []
        for header in cookie_headers:
            for match in self._pattern.finditer(header):
                if _starts_cookie(header, match.start()):
                    candidates.append(match[1])
        return candidates[:MAX_CANDIDATES]


def _starts_cookie(header: bytes, index: int) -> bool:
    """Return whether there is nothing but blanks between here and the semicolon before."""
    return not header[header.rfind(b";", 0, index) + 1 : index].strip(b" \t")


def _is_prefixed(name: str) -> bool:
    return name.lower().startswith(("__host-", "__secure-", "__http-"))


def _check_attributes(name: str, path: str, same_site: str, domain: str | None) -> None:
    """Refuse what doesn't belong in a header, where it could start another attribute or line."""
    if not _TOKEN.fullmatch(name):
        raise ConfigurationError("session_cookie must be a token: letters, digits and !#$%&'*+-.^_`|~ only")
    if not _PATH.fullmatch(path):
        raise ConfigurationError("path must start with / and hold no space, comma, semicolon or control character")
    if domain is not None and not _DOMAIN.fullmatch(domain):
        raise ConfigurationError("domain must be a host name such as example.com, or None for the host alone")
    if same_site not in ("lax", "strict", "none"):
        raise ConfigurationError('same_site must be "lax", "strict" or "none"')


def _check_secure(
    name: str, path: str, same_site: str, https_only: HTTPSOnly, domain: str | None, partitioned: bool
) -> None:
    """Refuse the combinations that browsers drop without a word (5.7; prefixes: 4.1.3)."""
    if https_only not in (True, False, "auto"):
        raise ConfigurationError('https_only must be True, False or "auto"')
    if name.lower().startswith("__host-") and (domain is not None or path != "/"):
        raise ConfigurationError('a cookie named "__Host-..." takes no domain, and path="/" only')
    if not https_only:  # 0 is as good as False
        if _is_prefixed(name):
            raise ConfigurationError('a cookie named "__Host-..." or "__Secure-..." needs https_only=True')
        if same_site == "none" or partitioned:
            raise ConfigurationError('same_site="none" and partitioned=True need https_only=True')
