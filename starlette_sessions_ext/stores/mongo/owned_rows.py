"""The documents of an owner, found by the index on that field."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from bson.datetime_ms import DatetimeMS

from ...errors import StoreError
from .._support.owner_batches import OwnerBatches
from .._support.shielding import DetachedTasks, shielded
from ..base import check_key, check_owner, is_key
from .documents import is_living, living, living_owned, owned

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection


class OwnedRows(OwnerBatches):
    """The operations of a MongoStore for owners."""

    _timeout: float

    @shielded
    async def owner_of(self, key: str) -> str | None:
        check_key(key)
        with self._operation() as rows:
            document = await rows.find_one(living(key, self._now()), {"owner": 1})
        owner = (document or {}).get("owner")
        return owner if isinstance(owner, str) and is_key(owner) else None

    @shielded
    async def keys_of(self, owner: str) -> list[str]:
        check_owner(owner)
        with self._operation() as rows:
            found = await rows.find(owned(owner), {"expires_at": 1}).to_list(None)
        now = self._now()
        return [key for row in found if isinstance(key := row["_id"], str) and is_key(key) and is_living(row, now)]

    @shielded
    async def _delete_owned(self, owner: str, keys: Sequence[str]) -> int:
        conditions = living_owned(keys, owner, self._now())
        with self._operation() as rows:
            return (await rows.delete_many(conditions, hint=[("_id", 1)])).deleted_count

    def _operation(self) -> AbstractContextManager[AsyncCollection[Any]]:
        raise NotImplementedError

    def _now(self) -> DatetimeMS:
        raise NotImplementedError

    @property
    def _detached(self) -> DetachedTasks:
        raise NotImplementedError

    def _timeout_error(self) -> StoreError:
        raise NotImplementedError
