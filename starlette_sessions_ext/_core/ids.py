"""The names of a session: id in the cookie, key in the store, digest in events.

This module does no I/O.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from functools import lru_cache
from os import urandom

from .secret_keys import derived_key

ID_BYTES = 20
"""160 random bits, above the 128 that OWASP's session management rules ask for."""

REMEMBERED = 2048
"""Keys remembered by id: a page is many requests."""

_PURPOSE = b"starlette_sessions_ext.successor"


def new_id() -> str:
    """Return a new session id: 32 characters of a-z2-7, from the system's randomness."""
    return base32(secrets.token_bytes(ID_BYTES))


@lru_cache(REMEMBERED)
def key_of(session_id: str) -> str:
    """Return the store's key of an id: 32 characters of a-z2-7.

    It is the first 160 bits of SHA-256(id), so that a leaked table, backup or log opens no session.
    """
    return base32(hashlib.sha256(session_id.encode()).digest()[:ID_BYTES])


def digest_of(key: str) -> str:
    """Return the digest of a key for events and logs: 16 hex digits.

    Neither the id nor the key can be computed from it.
    """
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"session-digest").hexdigest()


def new_public_id() -> str:
    """Return a public name for a session, which gives no access: 16 hex digits.

    Users and operators see it.
    """
    return urandom(8).hex()


def new_nonce() -> str:
    """Return 16 hex digits that mark one write."""
    return urandom(8).hex()


def id_of_legacy(identity: str) -> str:
    """Return the id by which a session made of another middleware's is found again.

    It is never sent, and would open nothing. No secret of ours goes into it, so that changing the
    secrets doesn't bring back what has ended.
    """
    return base32(hashlib.sha256(b"legacy session " + identity.encode()).digest()[:ID_BYTES])


class Successors:
    """The ids that follow from another one by renewal.

    The old id, the nonce and the secret together give the new id, so the store needs
    to keep none of the two ids; without the secret nobody can. As with cookies the first secret
    makes new ones, and all of them are tried in looking for one.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [derived_key(secret, _PURPOSE) for secret in secrets]

    def make(self, session_id: str, nonce: str) -> str:
        """Return the id that follows `session_id` now."""
        return _follow(self._keys[0], session_id, nonce)

    def find(self, session_id: str, nonce: str, key: str) -> str | None:
        """Return the id that followed `session_id` and has this store key.

        Return None if its secret is no longer known.
        """
        candidates = (_follow(one, session_id, nonce) for one in self._keys)
        return next((candidate for candidate in candidates if key_of(candidate) == key), None)


def _follow(key: bytes, session_id: str, nonce: str) -> str:
    return base32(hmac.digest(key, f"{session_id} {nonce}".encode(), "sha256")[:ID_BYTES])


def base32(raw: bytes) -> str:
    """Return bytes as characters of a-z2-7, 8 for each 5 bytes."""
    return base64.b32encode(raw).decode().lower()
