"""A store that wraps another one, and can do what that one can."""

from __future__ import annotations

from collections.abc import Hashable
from typing import cast

from ..base import SessionStore, Stored, SupportsOwners
from .options import check_store

_OPTIONAL_METHODS = ("all_keys", "diagnose", "server_of", "owner_of", "keys_of", "delete_all_of")
"""Those of the protocols that a store needn't support."""


class WrappingStore(SessionStore):
    """Pass every call on, for a class that changes some.

    The optional methods of the other store become attributes of the instance. `isinstance` with a
    protocol finds those, and since Python 3.12 it doesn't find what `__getattr__` would return.
    """

    def __init__(self, store: SessionStore) -> None:
        check_store("store", store)
        self._store = store
        self.max_data_bytes = store.max_data_bytes
        for name in _OPTIONAL_METHODS:
            if hasattr(store, name):
                setattr(self, name, getattr(store, name))

    async def load(self, key: str) -> Stored | None:
        return await self._store.load(key)

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        if owner is None:
            return await self._store.create(key, data, expires_at)
        return await self._owned.create(key, data, expires_at, owner)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        if owner is None:
            return await self._store.replace(key, data, expires_at, version)
        return await self._owned.replace(key, data, expires_at, version, owner)

    async def touch(self, key: str, expires_at: int) -> bool:
        return await self._store.touch(key, expires_at)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await self._store.delete(key, version)

    async def delete_expired(self, limit: int = 1000) -> int:
        return await self._store.delete_expired(limit)

    async def open(self) -> None:
        await self._store.open()

    async def aclose(self) -> None:
        await self._store.aclose()

    @property
    def _owned(self) -> SupportsOwners:
        """The other store. Raises TypeError unless it is a `SupportsOwners`.

        Callers name an owner only where it is one.
        """
        return cast(SupportsOwners, self._store)
