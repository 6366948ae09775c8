"""The session cookie: finding, verifying and rendering it. Pure.

The value is `<id><mark><signature>`: 32 characters of a-z2-7, one mark, and 43 of base64url. The
signature is an HMAC-SHA-256 by itsdangerous over id and mark, with a key derived from the secret
and the cookie's name, so that a cookie of one name opens nothing under another. The mark says how
the cookie was sent: `~` with Secure, `-` without. All parts have exactly one spelling, so a changed
bit never verifies. Cookies of earlier versions have the mark `.` and aren't bound to the name; they
are accepted until they are next sent. RFC 6265bis says what a cookie may look like; sections are
named where a rule comes from there.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from itsdangerous import Signer
from itsdangerous.signer import SigningAlgorithm

from .._core.context import ClearCookie, SetCookie
from ..errors import ConfigurationError
from ..secret import SecretKey, derived_key, read_secrets

SameSite = Literal["lax", "strict", "none"]
HTTPSOnly = bool | Literal["auto"]
Headers = Iterable[tuple[bytes, bytes]]

MAX_CANDIDATES = 8
"""How many well-formed cookies of our name are verified in one request; what follows is ignored."""

REMEMBERED = 2048
"""How many cookies that verified are known again without being verified: a page is many requests."""

_PURPOSE = b"starlette_sessions_ext.cookie"
_VALUE = rb"([a-z2-7]{32})([.~-])([A-Za-z0-9_-]{43})"
_SECURE, _PLAIN, _UNBOUND = b"~", b"-", b"."
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_PATH = re.compile(r"/[\x21-\x2b\x2d-\x3a\x3c-\x7e]*")  # no control character, space, comma, semicolon
_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"


class Found(NamedTuple):
    """The ids of a request's cookies that verified, in the order in which they were sent.

    `outdated`: the first has to be sent again, for the secret, the name or Secure that it lacks.
    `duplicates`: two different ids verified.
    """

    session_ids: tuple[str, ...] = ()
    outdated: bool = False
    duplicates: bool = False

    @property
    def session_id(self) -> str | None:
        """The first id; None if there is none."""
        return self.session_ids[0] if self.session_ids else None

    def __repr__(self) -> str:
        return f"Found(outdated={self.outdated}, duplicates={self.duplicates})"  # no id: a repr ends up in logs


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
        self.path = path
        self.domain = domain
        secrets = read_secrets(secret_key)
        self._signers = [_signer(derived_key(secret, _PURPOSE + b" " + name.encode())) for secret in secrets]
        self._unbound_signers = [_signer(derived_key(secret, _PURPOSE)) for secret in secrets]
        self._verified = lru_cache(REMEMBERED)(self._verify)  # keeps no forgery, for that raises
        # It begins with the name, which re then looks for as fast as memory is read: cookies of others may be long.
        self._pattern = re.compile(re.escape(name.encode()) + b"=" + _VALUE + rb"(?=;|\Z)")
        self._flags = f"httponly; samesite={same_site}"
        self._partitioned = "; partitioned" if partitioned else ""

    @property
    def signer(self) -> Signer:
        """The signer of what is sent now."""
        return self._signers[0]

    def is_secure(self, scheme: str | None) -> bool:
        """Return whether a cookie sent over this scheme is marked Secure."""
        return scheme in ("https", "wss") if self.secure == "auto" else self.secure

    def flags(self, *, secure: bool) -> str:
        """Return the attributes after path and lifetime, as Starlette's `security_flags`."""
        domain = f"; domain={self.domain}" if self.domain else ""
        return self._flags + ("; secure" if secure else "") + domain + self._partitioned

    def find(self, headers: Headers, *, secure: bool = False) -> Found:
        """Find our cookies in the request's headers: those of our name that verify.

        Several Cookie headers (HTTP/2) and several cookies of the name are looked at, up to
        `MAX_CANDIDATES`. Under a `__Host-` name no browser holds two, so two different ids count as
        none. `secure`: a cookie sent now would be marked Secure.
        """
        found = _NOTHING
        for session_id, mark, signature in self._candidates(headers):
            try:
                rank = self._verified(session_id, mark, signature)
            except _Forged:
                continue
            verified = session_id.decode()
            if found is _NOTHING:
                outdated = rank > 0 or mark == _UNBOUND or (secure and mark == _PLAIN)
                found = Found((verified,), outdated)
            elif verified not in found.session_ids:
                found = Found((*found.session_ids, verified), found.outdated, duplicates=True)
        return found._replace(session_ids=()) if self._single and found.duplicates else found

    def sign(self, session_id: str, *, secure: bool = False) -> str:
        """Return the cookie's value for an id. `secure`: it is going to be sent with Secure."""
        signed = session_id.encode() + (_SECURE if secure else _PLAIN)
        return (signed + self.signer.get_signature(signed)).decode()

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

    def _candidates(self, headers: Headers) -> list[tuple[bytes, ...]]:
        """Return the ids, marks and signatures of what looks like our cookie."""
        candidates: list[tuple[bytes, ...]] = []
        for name, value in headers:
            if name == b"cookie":
                for match in self._pattern.finditer(value):
                    if _starts_cookie(value, match.start()):
                        candidates.append(match.groups())
        return candidates[:MAX_CANDIDATES]

    def _verify(self, session_id: bytes, mark: bytes, signature: bytes) -> int:
        """Return which of the secrets signed it; 0 is the one that signs now. Raises `_Forged`.

        The signatures are compared as text: base64 leaves two bits of the last character free.
        """
        bound = mark != _UNBOUND
        signed = session_id + mark if bound else session_id
        for rank, signer in enumerate(self._signers if bound else self._unbound_signers):
            if hmac.compare_digest(signer.get_signature(signed), signature):
                return rank
        raise _Forged


def _starts_cookie(header: bytes, index: int) -> bool:
    """Whether there is nothing but blanks between here and the semicolon before."""
    return not header[header.rfind(b";", 0, index) + 1 : index].strip(b" \t")


class _Forged(Exception):
    """None of our secrets signed a cookie."""


def _signer(key: bytes) -> Signer:
    """Return a signer that already holds its derived key, so that nothing is derived per request."""
    return Signer(key, key_derivation="none", algorithm=_HMAC())


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
