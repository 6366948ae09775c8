"""What names a session: the id in the cookie, the key in the store, the handle in events. Pure."""

from __future__ import annotations

import base64
import hashlib
import secrets

ID_BYTES = 20
"""160 random bits, above the 128 that OWASP's session management rules ask for."""


def new_id() -> str:
    """A new session id: 32 characters of a-z2-7, made from the system's random source."""
    return _base32(secrets.token_bytes(ID_BYTES))


def key_of(session_id: str) -> str:
    """The store's key of an id: 32 characters of a-z2-7.

    The first 160 bits of SHA-256(id), so that a leaked table, backup or log opens no session.
    """
    return _base32(hashlib.sha256(session_id.encode()).digest()[:ID_BYTES])


def handle_of(key: str) -> str:
    """A public name of the session behind a key, for logs and metrics; 16 hex digits.

    Neither the id nor the key can be found from it.
    """
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"session-handle").hexdigest()


def new_nonce() -> str:
    """16 hex digits that mark one write."""
    return secrets.token_hex(8)


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower()
