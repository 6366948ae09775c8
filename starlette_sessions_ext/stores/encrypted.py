"""Encryption at rest: a store that encrypts what another store keeps."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ..errors import ConfigurationError, CorruptRecord
from ._support.encryption_keys import EncryptionKey, read_keys
from ._support.row_cipher import OVERHEAD, RowCipher, is_encrypted
from ._support.wrapping import WrappingStore
from .base import SessionStore, Stored, check_row


class EncryptedStore(WrappingStore):
    """A store that keeps rows in another store, encrypted with AES-256-GCM.

    `keys` are 32 random bytes each, or text that `sessions-ext secret --encryption-key` prints. The first
    encrypts and all decrypt. Loading a row that can't be decrypted raises `CorruptRecord`: one of a key
    that isn't there, one that was changed, one that was copied from another session. It is left as it is.

    With `accept_plain` rows that aren't encrypted are read too, and are encrypted when they are next
    written. Leave it out when none is left: until then a row that others wrote into the store is read.

    The key of a row, its owner and its expiry stay readable. Finding the sessions of a user, listing,
    diagnosis and cleanup work if the other store supports them. `async with` opens and closes that store.

    Raises `ConfigurationError` for keys that can't work, and for a store that has no room for the 39 bytes
    that encryption adds.
    """

    def __init__(self, store: SessionStore, keys: Sequence[EncryptionKey], *, accept_plain: bool = False) -> None:
        super().__init__(store)
        if type(accept_plain) is not bool:
            raise ConfigurationError("accept_plain must be True or False")
        self._cipher = RowCipher(read_keys(keys))
        self._accept_plain = accept_plain
        if self.max_data_bytes is not None:
            self.max_data_bytes -= OVERHEAD
            if self.max_data_bytes < 1:
                raise ConfigurationError(f"EncryptedStore needs a store with max_data_bytes of at least {OVERHEAD + 1}")

    async def load(self, key: str) -> Stored | None:
        row = await super().load(key)
        if row is None:
            return None
        if is_encrypted(row.data):
            return row._replace(data=self._cipher.decrypt(key, row.data))
        if self._accept_plain:
            return row
        raise CorruptRecord(
            "a stored row isn't encrypted; it was left as it is: accept_plain=True lets EncryptedStore read such rows"
        )

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        return await super().create(key, self._cipher.encrypt(key, data), expires_at, owner)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        return await super().replace(key, self._cipher.encrypt(key, data), expires_at, version, owner)
