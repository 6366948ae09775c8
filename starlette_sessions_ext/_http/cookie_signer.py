"""The value of the session cookie: an id, a mark, and a signature over both. Pure.

The value is `<id><mark><signature>`: 32 characters of a-z2-7, one mark, and 43 of base64url. The
signature is HMAC-SHA-256 as itsdangerous makes it, with a key derived from the secret and the
cookie's name, so that a cookie of one name is rejected under another. The mark says how the
cookie was sent: `~` with Secure, `-` without. All parts have exactly one spelling, so a changed bit
never verifies. Cookies of version 0.1 have the mark `.`, and a signature over the id alone that isn't
bound to the name; they are accepted until they are next sent.
"""

from __future__ import annotations

import hmac
import re
from binascii import b2a_base64
from hashlib import sha256
from typing import NamedTuple

from itsdangerous import Signer

from .._core.secret_keys import SecretKey, derived_key, read_secrets

VALUE = rb"[a-z2-7]{32}[.~-][A-Za-z0-9_-]{43}"
LENGTH = 32 + 1 + 43

_PURPOSE = b"starlette_sessions_ext.cookie"
_SECURE, _PLAIN, _UNBOUND = b"~", b"-", b"."
_VALUE = re.compile(VALUE)
_URLSAFE = bytes.maketrans(b"+/", b"-_")


class Verified(NamedTuple):
    """The id of a value that verified.

    `is_current` means that it would be signed so now, but for the mark. `was_secure` means that it was sent
    with Secure.
    """

    session_id: str
    is_current: bool
    was_secure: bool

    def __repr__(self) -> str:
        return "Verified()"  # no id: a repr ends up in logs


class Forged(Exception):
    """An error: none of our secrets signed the value."""


class CookieSigner:
    """Sign and verify the values of one cookie.

    The first secret signs, and all verify.
    """

    def __init__(self, name: str, secret_key: SecretKey) -> None:
        secrets = read_secrets(secret_key)
        self._keys = [derived_key(secret, _PURPOSE + b" " + name.encode()) for secret in secrets]
        self._signatures = [Signature(key) for key in self._keys]
        self._unbound = [Signature(derived_key(secret, _PURPOSE)) for secret in secrets]

    @property
    def itsdangerous(self) -> Signer:
        """The signer of itsdangerous that makes the same signatures as the first secret."""
        return Signer(self._keys[0], key_derivation="none", digest_method=sha256)

    def sign(self, session_id: str, *, secure: bool) -> str:
        """Return the value for an id. `secure` means that it will be sent with Secure."""
        signed = session_id.encode() + (_SECURE if secure else _PLAIN)
        return (signed + self._signatures[0].of(signed)).decode()

    def verify(self, value: bytes) -> Verified:
        """Return the id of a value. Raises `Forged`.

        The signatures are compared as text: base64 leaves two bits of the last character free. The form
        is looked at last, since a forged value hardly ever comes so far.
        """
        if value[32:33] == _UNBOUND:
            return self._verify_unbound(value)
        signed, given = value[:33], value[33:]
        for signature in self._signatures:
            if hmac.compare_digest(signature.of(signed), given) and _VALUE.fullmatch(value):
                is_current = signature is self._signatures[0]
                return Verified(value[:32].decode(), is_current, value[32:33] == _SECURE)
        raise Forged

    def _verify_unbound(self, value: bytes) -> Verified:
        is_signed = any(hmac.compare_digest(signature.of(value[:32]), value[33:]) for signature in self._unbound)
        if is_signed and _VALUE.fullmatch(value):
            return Verified(value[:32].decode(), is_current=False, was_secure=False)
        raise Forged


class Signature:
    """HMAC-SHA-256 (RFC 2104) in base64url, with a key of up to 64 bytes.

    The two hashes are prepared once and copied: for OpenSSL 3 to look the algorithm up at each call
    takes longer than the rest. It is what a forged cookie costs.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(64, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in padded))

    def of(self, value: bytes) -> bytes:
        """Return the signature of a value: 43 characters."""
        inner = self._inner.copy()
        inner.update(value)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return b2a_base64(outer.digest(), newline=False).translate(_URLSAFE, b"=")
