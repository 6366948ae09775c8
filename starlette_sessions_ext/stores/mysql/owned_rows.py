"""The rows of an owner in a MySQL table, found by the index of its column."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from .._support.owner_batches import OwnerBatches
from ..base import check_key, check_owner, is_key
from . import statements
from .table import SessionTable


class OwnedRows(OwnerBatches):
    """The operations of a DatabaseStore on the rows of one owner."""

    _table: SessionTable

    async def owner_of(self, key: str) -> str | None:
        check_key(key)
        async with self._deadline():
            if not await self._table.has_owners():
                return None
            found = (await self._table.run(statements.OWNER, key, self._newest_expired())).rows
        owner = found[0][0] if found else None
        return owner if owner is not None and is_key(owner) else None

    async def keys_of(self, owner: str) -> list[str]:
        check_owner(owner)
        async with self._deadline():
            await self._table.require_owners()
            found = (await self._table.run(statements.KEYS_OF, owner, self._newest_expired())).rows
        return [key for (key,) in found if is_key(key)]

    async def _delete_owned(self, owner: str, keys: Sequence[str]) -> int:
        async with self._deadline():
            expired = self._newest_expired()
            return (await self._table.run(statements.DELETE_OWNED, *keys, owner, expired, repeat=len(keys))).rowcount

    def _deadline(self) -> AbstractAsyncContextManager[None]:
        raise NotImplementedError

    def _newest_expired(self) -> int:
        raise NotImplementedError
