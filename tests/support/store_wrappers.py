"""Stores around a real store: one counts the calls, one can be away, one lets a test choose their order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable

from starlette_sessions_ext import SessionStore, Stored, StoreUnavailable, SupportsOwners


class WrappedStore(SessionStore):
    """Passes everything on to `store`, after `before` with the name of the call."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.max_data_bytes = store.max_data_bytes

    async def before(self, call: str) -> None:
        raise NotImplementedError

    async def load(self, key: str) -> Stored | None:
        await self.before("load")
        return await self.store.load(key)

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        await self.before("create")
        return await self.store.create(key, data, expires_at)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        await self.before("replace")
        return await self.store.replace(key, data, expires_at, version)

    async def touch(self, key: str, expires_at: int) -> bool:
        await self.before("touch")
        return await self.store.touch(key, expires_at)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        await self.before("delete")
        return await self.store.delete(key, version)

    async def delete_expired(self, limit: int = 1000) -> int:
        await self.before("delete_expired")
        return await self.store.delete_expired(limit)

    async def open(self) -> None:
        await self.store.open()

    async def aclose(self) -> None:
        await self.store.aclose()


class CountingStore(WrappedStore):
    """`calls` are the names of the calls made, in order."""

    def __init__(self, store: SessionStore) -> None:
        super().__init__(store)
        self.calls: list[str] = []

    async def before(self, call: str) -> None:
        self.calls.append(call)


class DownStore(WrappedStore):
    """Can't be reached while `down`."""

    down = False

    async def before(self, call: str) -> None:
        if self.down:
            raise StoreUnavailable("the server is away")


class GatedStore(WrappedStore):
    """Every call first waits for `gate`."""

    def __init__(self, store: SessionStore, gate: Callable[[], Awaitable[None]]) -> None:
        super().__init__(store)
        self.gate = gate

    async def before(self, call: str) -> None:
        await self.gate()


class CountingOwnedStore(CountingStore, SupportsOwners):
    """Counts the calls of a store that finds the rows of an owner."""

    store: SupportsOwners

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        await self.before("create")
        return await self.store.create(key, data, expires_at, owner)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        await self.before("replace")
        return await self.store.replace(key, data, expires_at, version, owner)

    async def owner_of(self, key: str) -> str | None:
        return await self.store.owner_of(key)

    async def keys_of(self, owner: str) -> list[str]:
        await self.before("keys_of")
        return await self.store.keys_of(owner)

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        await self.before("delete_all_of")
        return await self.store.delete_all_of(owner, keep)
