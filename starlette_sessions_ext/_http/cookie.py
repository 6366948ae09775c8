"""The session cookie: find it in a request, and render it for a response. Pure.

RFC 6265bis says what a cookie may look like; sections are named where a rule comes from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from itsdangerous import Signer

from .._core.plan import ClearCookie, SetCookie
from .._core.secret_keys import SecretKey
from ..errors import ConfigurationError
from .cookie_signer import LENGTH, VALUE, CookieSigner, Forged
from .headers import NAME

SameSite = Literal["lax", "strict", "none"]
HTTPSOnly = bool | Literal["auto"]

MAX_CANDIDATES = 8
"""How many well-formed cookies of our name are verified in one request; what follows is ignored."""

VERIFIED_CACHE_SIZE = 2048
"""How many values that verified are known again without being verified: a page is many requests."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_PATH = re.compile(r"/[\x21-\x2b\x2d-\x3a\x3c-\x7e]*")  # no control character, space, comma, semicolon
_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"


class Found(NamedTuple):
    """The ids of a request's cookies of our name that verified, as they were sent.

    `session_id` is the session's, None if there is none, and `others` are further ids.

    `client_id` is the id again, or None if its cookie has to be sent again, for the secret, the name or
    Secure that it lacks.
    """

    session_id: str | None = None
    client_id: str | None = None
    others: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Found(others={len(self.others)})"  # no id: a repr ends up in logs


NOTHING = Found()


class SessionCookie:
    """The one cookie of a middleware: its name, its attributes and its keys.

    The keys sign and verify its value.

    Raises `ConfigurationError` for what browsers would drop or misread.
    """

    def __init__(
        self,
        name: str,
        secret_key: SecretKey,
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
        """The signer of values that are sent now."""
        return self._signer.itsdangerous

    def is_secure(self, scheme: str | None) -> bool:
        """Return whether a cookie sent over this scheme is marked Secure."""
        return scheme in ("https", "wss") if self.secure == "auto" else self.secure

    def flags(self, *, secure: bool) -> str:
        """Return the attributes after path and lifetime, as Starlette's `security_flags`."""
        domain = f"; domain={self.domain}" if self.domain else ""
        return self._flags + ("; secure" if secure else "") + domain + self._partitioned

    def find(self, scope: Mapping[str, Any]) -> Found:
        """Find our cookies in a request's ASGI scope: those of our name that verify.

        Several Cookie headers (HTTP/2) and several cookies of the name are looked at, up to
        `MAX_CANDIDATES`. Under a `__Host-` name no browser holds two, so of two different ids none is the
        session's. A cookie that was sent without Secure is outdated over https.
        """
        names = [*map(NAME, scope["headers"])]
        if b"cookie" not in names:
            return NOTHING
        headers = scope["headers"]
        if names.count(b"cookie") > 1:  # HTTP/2 may split it (RFC 9113, 8.2.3)
            return self._find_in([value for name, value in headers if name == b"cookie"], scope.get("scheme"))
        header = headers[names.index(b"cookie")][1]
        before, _, value = header.partition(self.prefix)
        if len(value) != LENGTH or (before and before[-2:] != b"; "):
            return self._find_among(header, before, value, scope.get("scheme"))
        try:
            return self._verify(value, scope.get("scheme"))
        except Forged:
            return NOTHING

    def sign(self, session_id: str, *, secure: bool = False) -> str:
        """Return the cookie's value for an id.

        `secure` means that it is going to be sent with Secure.
        """
        return self._signer.sign(session_id, secure=secure)

    def render(self, cookie: SetCookie | ClearCookie, *, secure: bool) -> bytes:
        """Return a Set-Cookie value that hands out an id, or removes the cookie.

        A removal has the same attributes, is long expired (5.7), and empty.
        """
        if isinstance(cookie, ClearCookie):
            return self.render_removal(self.path, self.domain, secure=secure)
        lifetime = "" if cookie.max_age is None else f"; Max-Age={cookie.max_age}"
        value = self.sign(cookie.session_id, secure=secure)
        return f"{self.name}={value}; path={self.path}{lifetime}; {self.flags(secure=secure)}".encode("ascii")

    def render_removal(self, path: str, domain: str | None, *, secure: bool) -> bytes:
        """Return the Set-Cookie value that removes a cookie with this path and domain.

        The cookie has our name.
        """
        flags = self._flags + ("; secure" if secure else "") + (f"; domain={domain}" if domain else "")
        return f"{self.name}=; path={path}; expires={_EPOCH}; {flags}{self._partitioned}".encode("ascii")

    def _find_among(self, header: bytes, before: bytes, value: bytes, scheme: str | None) -> Found:
        """Find our cookie where others follow it.

        `before` and `value` are the parts of the header before and after our name.
        """
        if not value:
            return NOTHING
        if (before and before[-2:] != b"; ") or value[LENGTH : LENGTH + 1] != b";" or value.find(self.prefix) >= 0:
            return self._find_in([header], scheme)
        try:
            return self._verify(value[:LENGTH], scheme)
        except Forged:
            return NOTHING

    def _find_in(self, cookie_headers: Sequence[bytes], scheme: str | None) -> Found:
        """Find our cookies in headers of several cookies, or of an unusual form."""
        found = NOTHING
        for value in self._candidates(cookie_headers):
            try:
                verified = self._verify(value, scheme)
            except Forged:
                continue
            if found is NOTHING:
                found = verified
            elif (session_id := verified.session_id) and session_id not in (found.session_id, *found.others):
                found = found._replace(others=(*found.others, session_id))
        return found._replace(session_id=None) if self._single and found.others else found

    def _verify_anew(self, value: bytes, scheme: str | None) -> Found:
        session_id, is_current, was_secure = self._signer.verify(value)
        return Found(session_id, session_id if is_current and (was_secure or not self.is_secure(scheme)) else None)

    def _candidates(self, cookie_headers: Sequence[bytes]) -> list[bytes]:
        """Return the values of possible cookies of ours."""
        candidates: list[bytes] = []
        for header in cookie_headers:
            for match in self._pattern.finditer(header):
                if _starts_cookie(header, match.start()):
                    candidates.append(match[1])
        return candidates[:MAX_CANDIDATES]


def _starts_cookie(header: bytes, index: int) -> bool:
    """Return whether a cookie starts here, after a semicolon and blanks."""
    return not header[header.rfind(b";", 0, index) + 1 : index].strip(b" \t")


def _is_prefixed(name: str) -> bool:
    return name.lower().startswith(("__host-", "__secure-", "__http-"))


def _check_attributes(name: str, path: str, same_site: str, domain: str | None) -> None:
    """Refuse text that could start another attribute or line of the header."""
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
    """Refuse combinations that browsers drop without a word (5.7; prefixes: 4.1.3)."""
    if https_only not in (True, False, "auto"):
        raise ConfigurationError('https_only must be True, False or "auto"')
    if name.lower().startswith("__host-") and (domain is not None or path != "/"):
        raise ConfigurationError('a cookie named "__Host-..." takes no domain, and path="/" only')
    if not https_only:  # 0 is as good as False
        if _is_prefixed(name):
            raise ConfigurationError('a cookie named "__Host-..." or "__Secure-..." needs https_only=True')
        if same_site == "none" or partitioned:
            raise ConfigurationError('same_site="none" and partitioned=True need https_only=True')
