"""A store with a switch, to see what happens while the server that holds the sessions is away."""

from __future__ import annotations

from collections.abc import Hashable

from starlette_sessions_ext import Stored, StoreUnavailable, SupportsOwners


class SwitchedStore(SupportsOwners):
    """Pass everything on to `store` while `running`. Otherwise fail as a store does that can't be reached."""

    def __init__(self, store: SupportsOwners) -> None:
        self.running = True
        self.max_data_bytes = store.max_data_bytes
        self._store = store

    def _reach(self) -> SupportsOwners:
        if not self.running:
            raise StoreUnavailable("the store was stopped: press the button that starts it")
        return self._store

    async def load(self, key: str) -> Stored | None:
        return await self._reach().load(key)

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        return await self._reach().create(key, data, expires_at, owner)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return await self._reach().replace(key, data, expires_at, version, owner)

    async def touch(self, key: str, expires_at: int) -> bool:
        return await self._reach().touch(key, expires_at)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await self._reach().delete(key, version)

    async def delete_expired(self, limit: int = 1000) -> int:
        return await self._reach().delete_expired(limit)

    async def owner_of(self, key: str) -> str | None:
        return await self._reach().owner_of(key)

    async def keys_of(self, owner: str) -> list[str]:
        return await self._reach().keys_of(owner)

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        return await self._reach().delete_all_of(owner, keep)

    async def open(self) -> None:
        await self._store.open()

    async def aclose(self) -> None:
        await self._store.aclose()
