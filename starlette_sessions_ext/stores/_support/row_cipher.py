"""Encrypt and decrypt the bytes of a row with AES-256-GCM. Pure.

    e1 <key id><nonce><ciphertext><tag>

`e1` is the format's version, and the key id names the key in 8 hex digits that tell nothing of it. The
nonce is 12 random bytes, another one for every write, and the tag is 16 bytes long. All that stands before
the nonce is authenticated, and so is the row's key, so bytes of one row can't be read as those of another.

Each row has a key derived for it (HMAC-SHA-256). NIST SP 800-38D allows a key 2**32 random nonces:
a busy service makes as many writes within weeks, and a single session never does.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import lru_cache, partial
from os import urandom

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:  # pragma: no cover - tested in an interpreter without cryptography
    raise ImportError('EncryptedStore needs cryptography: pip install "starlette-sessions-ext[encryption]"') from error

from ...errors import CorruptRecord

REMEMBERED = 2048
"""Rows whose cipher is remembered: a page is many requests, and deriving a cipher costs more than using it."""

_VERSION = b"e1 "
_ID_LENGTH = 8
_NONCE_START = len(_VERSION) + _ID_LENGTH
_NONCE_BYTES = 12
_TAG_BYTES = 16

OVERHEAD = _NONCE_START + _NONCE_BYTES + _TAG_BYTES
"""Bytes by which a row grows."""


class RowCipher:
    """Encrypt with the first key and decrypt with all."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._head = _VERSION + _id_of(keys[0])
        self._ciphers = {_VERSION + _id_of(key): lru_cache(REMEMBERED)(partial(_cipher_of_row, key)) for key in keys}

    def encrypt(self, row_key: str, data: bytes) -> bytes:
        """Return the bytes to store under a key."""
        nonce = urandom(_NONCE_BYTES)
        cipher = self._ciphers[self._head](row_key)
        return self._head + nonce + cipher.encrypt(nonce, data, _authenticated(self._head, row_key))

    def decrypt(self, row_key: str, stored: bytes) -> bytes:
        """Return what `encrypt` was given. Raises `CorruptRecord` for anything else."""
        head, nonce = stored[:_NONCE_START], stored[_NONCE_START : _NONCE_START + _NONCE_BYTES]
        if head not in self._ciphers:
            raise CorruptRecord(
                "a stored row is encrypted with a key that isn't among the keys of EncryptedStore, or was changed; "
                "it was left as it is"
            )
        try:
            ciphertext = stored[_NONCE_START + _NONCE_BYTES :]
            return self._ciphers[head](row_key).decrypt(nonce, ciphertext, _authenticated(head, row_key))
        except (InvalidTag, ValueError):  # ValueError: it was cut off within the nonce
            raise CorruptRecord(
                "a stored row can't be decrypted: it was changed, or is that of another session; it was left as it is"
            ) from None


def is_encrypted(stored: bytes) -> bool:
    """Return whether a row claims to be one of ours.

    Plain records begin with another letter.
    """
    return stored.startswith(_VERSION)


def _id_of(key: bytes) -> bytes:
    return hmac.digest(key, b"starlette_sessions_ext.encryption_key_id", "sha256")[: _ID_LENGTH // 2].hex().encode()


def _cipher_of_row(key: bytes, row_key: str) -> AESGCM:
    return AESGCM(hmac.digest(key, b"starlette_sessions_ext.encryption " + row_key.encode(), "sha256"))


def _authenticated(head: bytes, row_key: str) -> bytes:
    return head + b" " + row_key.encode()
