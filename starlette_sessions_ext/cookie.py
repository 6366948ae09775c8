"""The session cookie: finding, verifying and rendering it. Pure.

The value is `<id>.<signature>`: 32 characters of a-z2-7 and 43 of base64url, signed with
HMAC-SHA-256 by itsdangerous. Both have exactly one spelling, so a changed bit never verifies.
RFC 6265bis says what a cookie may look like; sections are named where a rule comes from there.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from itsdangerous import Signer
from itsdangerous.signer import SigningAlgorithm

from .errors import ConfigurationError
from .secret import SecretKey, derived_key, read_secrets

SameSite = Literal["lax", "strict", "none"]
HTTPSOnly = bool | Literal["auto"]
Headers = Iterable[tuple[bytes, bytes]]

MAX_CANDIDATES = 8
"""How many well-formed cookies of our name are verified in one request; what follows is ignored."""

REMEMBERED = 2048
"""How many cookies that verified are known again without being verified: a page is many requests."""

_PURPOSE = b"starlette_sessions_ext.cookie"
_VALUE = rb"([a-z2-7]{32})\.([A-Za-z0-9_-]{43})"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_PATH = re.compile(r"/[\x21-\x2b\x2d-\x3a\x3c-\x7e]*")  # no control character, space, comma, semicolon
_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"


class Issue(NamedTuple):
    """A cookie to send: this id, for `max_age` seconds; None: until the browser closes."""

    session_id: str
    max_age: int | None

    def __repr__(self) -> str:
        return f"Issue(max_age={self.max_age})"  # never the id: a repr ends up in logs


class Clear:
    """A cookie to remove."""


class Found(NamedTuple):
    """What a request's Cookie headers hold of ours."""

    session_id: str | None = None
    outdated: bool = False  # signed by a secret that no longer signs
    duplicates: bool = False  # a second, different id verified as well

    def __repr__(self) -> str:
        return f"Found(outdated={self.outdated}, duplicates={self.duplicates})"


_NOTHING = Found()


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
        self._signers = [_signer(secret) for secret in read_secrets(secret_key)]
        self._verified = lru_cache(REMEMBERED)(self._verify)  # keeps no forgery, for that raises
        # It begins with the name, which re then looks for as fast as memory is read: cookies of others may be long.
        self._pattern = re.compile(re.escape(name.encode()) + b"=" + _VALUE + rb"(?=;|\Z)")
        self._path = path
        self._flags = f"httponly; samesite={same_site}"
        self._scope = (f"; domain={domain}" if domain else "") + ("; partitioned" if partitioned else "")

    def find(self, headers: Headers) -> Found:
        """Find our cookie in the request's headers: the first of our name that verifies.

        Several Cookie headers (HTTP/2) and several cookies of the name are looked at, up to
        `MAX_CANDIDATES`. Where two different ids verify the first is taken and the other
        reported; under a `__Host-` name, where no browser holds two, neither is.
        """
        found = _NOTHING
        for session_id, signature in self._candidates(headers):
            try:
                verified = self._verified(session_id, signature)
            except _Forged:
                continue
            if found is _NOTHING:
                found = verified
            elif found.session_id != verified.session_id:
                return Found(None if self._single else found.session_id, found.outdated, duplicates=True)
        return found

    def sign(self, session_id: str) -> str:
        """The cookie's value for an id."""
        return self._signers[0].sign(session_id).decode()

    def render(self, change: Issue | Clear, *, secure: bool) -> bytes:
        """The value of the Set-Cookie header that hands out an id, or removes the cookie.

        A removal has the same attributes, is long expired (5.7), and empty.
        """
        if isinstance(change, Issue):
            lifetime = "" if change.max_age is None else f"; Max-Age={change.max_age}"
            return self._line(self.sign(change.session_id), lifetime, secure)
        return self._line("", f"; expires={_EPOCH}", secure)

    def _line(self, value: str, lifetime: str, secure: bool) -> bytes:
        flags = self._flags + ("; secure" if secure else "") + self._scope
        return f"{self.name}={value}; path={self._path}{lifetime}; {flags}".encode("ascii")

    def _candidates(self, headers: Headers) -> list[tuple[bytes, ...]]:
        """The ids and signatures of what looks like our cookie."""
        candidates: list[tuple[bytes, ...]] = []
        for name, value in headers:
            if name == b"cookie":
                for match in self._pattern.finditer(value):
                    if _starts_cookie(value, match.start()):
                        candidates.append(match.groups())
        return candidates[:MAX_CANDIDATES]

    def _verify(self, session_id: bytes, signature: bytes) -> Found:
        """The id, if one of the secrets signed it; the first is the one that signs now. Raises `_Forged`.

        The signatures are compared as text: base64 leaves two bits of the last character free.
        """
        for rank, signer in enumerate(self._signers):
            if hmac.compare_digest(signer.get_signature(session_id), signature):
                return Found(session_id.decode(), rank > 0)
        raise _Forged


def _starts_cookie(header: bytes, index: int) -> bool:
    """Whether there is nothing but blanks between here and the semicolon before."""
    return not header[header.rfind(b";", 0, index) + 1 : index].strip(b" \t")


class _Forged(Exception):
    """None of our secrets signed a cookie."""


def _signer(secret: str) -> Signer:
    """A signer that already holds its derived key, so that nothing is derived per request."""
    return Signer(derived_key(secret, _PURPOSE), key_derivation="none", algorithm=_HMAC())


class _HMAC(SigningAlgorithm):
    """HMAC-SHA-256 in one call to OpenSSL, which is faster than itsdangerous' own: it is what a forged cookie costs."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


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
