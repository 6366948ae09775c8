"""The keys of `EncryptedStore`: make one, and read given ones. Pure.

This module doesn't need cryptography.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence

from starlette.datastructures import Secret

from ...errors import ConfigurationError

KEY_BYTES = 32

EncryptionKey = bytes | str | Secret
"""32 random bytes, or their base64url text as `new_encryption_key` makes it."""

_TEXT = re.compile(r"[A-Za-z0-9_-]{43}=?")


def new_encryption_key() -> str:
    """Return a new key as text: 43 characters of base64url.

    It comes from the system's random source.
    """
    return secrets.token_urlsafe(KEY_BYTES)


def read_keys(keys: Sequence[EncryptionKey]) -> list[bytes]:
    """Return the keys as bytes. Raises `ConfigurationError`, which holds none of them."""
    if not isinstance(keys, list | tuple) or not keys:
        raise ConfigurationError(
            'keys must be a list such as [os.environ["SESSIONS_ENCRYPTION_KEY"]]: the first encrypts, all decrypt'
        )
    read: list[bytes] = []
    for number, key in enumerate(keys):
        one = _read_key(key)
        if one is None:
            raise ConfigurationError(
                f"keys[{number}] must be 32 random bytes, or text that sessions-ext secret --encryption-key prints"
            )
        if one in read:
            raise ConfigurationError(f"keys[{number}] is the same key as one before it: leave one of them out")
        read.append(one)
    return read


def _read_key(key: object) -> bytes | None:
    if isinstance(key, bytes):
        return key if len(key) == KEY_BYTES else None
    text = str(key)
    return base64.urlsafe_b64decode(text[:43] + "=") if _TEXT.fullmatch(text) else None
