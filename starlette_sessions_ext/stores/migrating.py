"""Move sessions from an old store to a new one as they are used.

So no user is signed out. A session is in one store at any moment, whatever is interrupted and however many
processes move it. What the new store holds under its key says in which:

    nothing     the old one
    a claim     the old one; a process has begun to move the session
    a copy      the new one; what the old one may still hold is to be removed
    else        the new one, and the old one holds nothing: it has been moved, or was made here

A process that finds a claim or a copy goes on from there, so a move that was cut short is finished by the
next load. A session is used, changed and ended only once it has been moved.

A claim becomes a copy only if the old row was still there after the claim was made. Otherwise a process
that read the old row and was then held up could restore a session that others have moved and deleted.

The copy has the owner of the old row, a claim has none. So an owner's sessions are those that either store lists.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Self, TypeGuard, cast

import anyio

from ..errors import ConfigurationError, CorruptRecord, SessionTooLarge, StoreTimeout
from ._support.options import check_options, check_store
from .base import DEFAULT_TIMEOUT, SessionStore, Stored, SupportsOwners, check_key, check_owner, check_row

_CLAIM = b"session-move 7d2f90c4b81a63e5 claim "
_COPY = b"session-move 7d2f90c4b81a63e5 copy "


class MigratingStore(SessionStore):
    """A store that takes over what `old` holds, session by session.

    It keeps everything in `new`. Loading a session that has been moved costs one round trip to `new`, as
    ever; the first load of one that hasn't costs ten, once, and twelve if both keep owners. Until the two are
    parted again making a session, and looking for one that isn't there, asks `old` too: if it can't be
    reached they raise.

    All processes have to use both stores from the same moment on; what is written to `old` alone
    in that time is lost. `timeout` is the budget of moving one session in seconds. A session that
    `new` can't hold raises `SessionTooLarge` when it is loaded, and stays in `old`. If `new` is a
    `SupportsOwners`, so is this. What comes from an `old` that isn't has no owner until it is written.
    Raises `ConfigurationError` for what is no store, and for the same store twice.
    """

    def __new__(cls, new: object, *arguments: object, **options: object) -> Self:
        kind = MigratingOwners if cls is MigratingStore and isinstance(new, SupportsOwners) else cls
        return super().__new__(cast(type[Self], kind))

    def __init__(self, new: SessionStore, old: SessionStore, *, timeout: float = 2 * DEFAULT_TIMEOUT) -> None:
        _check_stores(new, old)
        check_options(timeout=timeout, clock=time.time)
        limits = [old.max_data_bytes, None if new.max_data_bytes is None else new.max_data_bytes - len(_COPY)]
        self.max_data_bytes = min((limit for limit in limits if limit is not None), default=None)
        self._new = new
        self._old = old
        self._timeout = timeout

    async def load(self, key: str) -> Stored | None:
        row = await self._new.load(key)
        if _has_moved(row):
            return row
        with self._budget():
            return await self._move(key, row)

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes)
        return not await self._is_in_old(key) and await self._new.create(key, data, expires_at)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes)
        return await self._new.replace(key, data, expires_at, version)  # `load`, which gave the version, has moved it

    async def touch(self, key: str, expires_at: int) -> bool:
        return await self._found(key) is not None and await self._new.touch(key, expires_at)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        if version is not None:
            return await self._new.delete(key, version)
        with self._budget():
            while row := await self._found(key):
                if await self._new.delete(key, row.version):  # by version, so that it can't hit a claim
                    return True
        return False

    async def delete_expired(self, limit: int = 1000) -> int:
        collected = await self._new.delete_expired(limit)
        return collected + (await self._old.delete_expired(limit - collected) if collected < limit else 0)

    async def open(self) -> None:
        await self._new.open()
        await self._old.open()

    async def aclose(self) -> None:
        try:
            await self._new.aclose()
        finally:
            await self._old.aclose()

    async def _is_in_old(self, key: str) -> bool:
        try:
            return await self._old.load(key) is not None
        except CorruptRecord:
            return True

    async def _found(self, key: str) -> Stored | None:
        """Load, but return None for a row that isn't a session's: it is left as it is."""
        try:
            return await self.load(key)
        except CorruptRecord:
            return None

    async def _move(self, key: str, row: Stored | None) -> Stored | None:
        """Take one step after another until the session is in the new store or in none."""
        while not _has_moved(row):
            if row is None:
                if not await self._claim(key):
                    return None
            elif row.data.startswith(_CLAIM):
                await self._copy(key, row)
            else:
                await self._finish(key, row)
            row = await self._new.load(key)
        return row

    async def _claim(self, key: str) -> bool:
        """Begin a move; return False if the session is in neither store."""
        old = await self._old.load(key)
        if old is None:
            return await self._new.load(key) is not None  # or it was moved between the two looks
        await self._new.create(key, _CLAIM + secrets.token_hex(8).encode(), old.expires_at)
        return True

    async def _copy(self, key: str, claim: Stored) -> None:
        """Copy the session, which is the new store's from here on.

        The copy is dropped if the claim came too late.
        """
        owner = await self._owner_in_old(key)
        old = await self._old.load(key)
        if old is None:
            await self._new.delete(key, claim.version)
        else:
            await self._replace_new(key, _COPY + old.data, old.expires_at, claim.version, owner)

    async def _finish(self, key: str, copy: Stored) -> None:
        owner = await self._owner_in_new(key)
        await self._old.delete(key)
        await self._replace_new(key, copy.data.removeprefix(_COPY), copy.expires_at, copy.version, owner)

    async def _owner_in_old(self, key: str) -> str | None:
        return None

    async def _owner_in_new(self, key: str) -> str | None:
        return None

    async def _replace_new(self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None) -> bool:
        return await self._new.replace(key, data, expires_at, version)

    @contextmanager
    def _budget(self) -> Iterator[None]:
        try:
            with anyio.fail_after(self._timeout):
                yield
        except TimeoutError as error:
            raise StoreTimeout(f"moving a session took longer than {self._timeout:g} s") from error


class MigratingOwners(MigratingStore, SupportsOwners):
    """A MigratingStore whose `new` keeps owners."""

    _new: SupportsOwners

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        return not await self._is_in_old(key) and await self._new.create(key, data, expires_at, owner)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        return await self._new.replace(key, data, expires_at, version, owner)

    async def owner_of(self, key: str) -> str | None:
        check_key(key)
        return await self._owner_in_new(key) or await self._owner_in_old(key)

    async def keys_of(self, owner: str) -> list[str]:
        """List the old store first: a session that moves is then in the new one."""
        check_owner(owner)
        return list({*await self._keys_in_old(owner), *await self._new.keys_of(owner)})

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        """Move what hasn't moved, as a logout does, then remove it.

        The removal is a single step in the new store.
        """
        check_owner(owner)
        if keep is not None:
            check_key(keep)
        removed = 0
        for key in await self._keys_in_old(owner):
            try:
                if key != keep:
                    await self._found(key)
            except SessionTooLarge:
                removed += await self._old.delete(key)  # nothing else can move it either
        return removed + await self._new.delete_all_of(owner, keep)

    async def _keys_in_old(self, owner: str) -> list[str]:
        return await self._old.keys_of(owner) if isinstance(self._old, SupportsOwners) else []

    async def _owner_in_old(self, key: str) -> str | None:
        return await self._old.owner_of(key) if isinstance(self._old, SupportsOwners) else None

    async def _owner_in_new(self, key: str) -> str | None:
        return await self._new.owner_of(key)

    async def _replace_new(self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None) -> bool:
        return await self._new.replace(key, data, expires_at, version, owner)


def _check_stores(new: object, old: object) -> None:
    for name, store in (("new", new), ("old", old)):
        check_store(name, store)
    if new is old:
        raise ConfigurationError("new and old are the same store: without a move that store alone is enough")


def _has_moved(row: Stored | None) -> TypeGuard[Stored]:
    return row is not None and not row.data.startswith((_CLAIM, _COPY))
