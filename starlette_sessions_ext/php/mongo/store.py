"""Sessions in the documents of Phalcon's adapter Mongo, shared with PHP.

    {_id: session id, modified: date, data: text}

PHP may run at the same time. The adapter takes no lock. A page of PHP that has read a session writes it whole, and
overwrites what was written in between. Here each write compares the data that were loaded. A request that only reads
moves `modified`, as the adapter doesn't.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Hashable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bson.datetime_ms import DatetimeMS

from ..._time import parse_duration
from ...stores._support.cleanup import delete_in_batches
from ...stores._support.shielding import shielded
from ...stores.base import DEFAULT_MAX_DATA_BYTES, DEFAULT_TIMEOUT, Finding, SessionStore, Stored, check_expires_at
from ...stores.mongo.documents import date
from ...stores.mongo.operations import MongoOperations
from ...stores.mongo.writes import insert_document, update_document
from ..leftovers import left_behind
from ..session_ids import check_session_id, is_session_id
from ..session_rows import check_session_row
from ..settings import PHP_LIFETIME
from ..text import as_text
from .diagnosis import findings_of
from .documents import as_row, document, expired, living, unchanged

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection
    from pymongo.asynchronous.collection import AsyncCollection

_BATCH_SIZE = 100
"""Expired documents deleted at once."""


class PHPMongoStore(MongoOperations, SessionStore):
    """A store over the documents of Phalcon's adapter Mongo.

    Keys are the ids of PHP sessions.

    It takes a collection or a URL, as `MongoStore` does. `lifetime` is PHP's `session.gc_maxlifetime`, in seconds or
    as a timedelta. `timeout` is the budget of an operation in seconds; `clock` gives unix seconds.

    Raises `ConfigurationError` for settings that can't work. Bytes that aren't UTF-8 are refused when they are
    written, by `NotSerializable`: MongoDB keeps text. It makes no index: PHP writes no field for one.
    """

    def __init__(
        self,
        collection_or_url: AsyncCollection[Any] | AsyncIOMotorCollection[Any] | str,
        *,
        collection: str = "session_data",
        lifetime: int | timedelta = PHP_LIFETIME,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            collection_or_url, collection=collection, timeout=timeout, max_data_bytes=max_data_bytes, clock=clock
        )
        self.lifetime = parse_duration(lifetime, "lifetime")

    async def load(self, key: str) -> Stored | None:
        check_session_id(key)
        return await self._load(key)

    @shielded
    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        made = document(key, as_text(data), expires_at - self.lifetime)
        with self._operation() as rows:
            if await insert_document(rows, made):
                return True
            # One that has expired counts as absent, but is in the way.
            await rows.delete_one({**expired(self._newest_expired()), "_id": key})
            return await insert_document(rows, made)

    @shielded
    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        content = {"data": as_text(data), "modified": date(expires_at - self.lifetime)}
        with self._operation() as rows:
            return await update_document(rows, unchanged(key, version, self._newest_expired()), {"$set": content})

    @shielded
    async def touch(self, key: str, expires_at: int) -> bool:
        check_session_id(key)
        check_expires_at(expires_at)
        times = {"modified": date(expires_at - self.lifetime)}
        with self._operation() as rows:
            return await update_document(rows, living(key, self._newest_expired()), {"$set": times})

    @shielded
    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_session_id(key)
        now = self._newest_expired()
        conditions = living(key, now) if version is None else unchanged(key, version, now)
        with self._operation() as rows:
            return (await rows.delete_one(conditions)).deleted_count == 1

    async def delete_expired(self, limit: int = 1000) -> int:
        """Collect expired documents.

        PHP doesn't do so where `session.gc_probability` is 0, as in Debian.
        """
        return await delete_in_batches(self._delete_batch, limit, batch_size=_BATCH_SIZE)

    async def all_keys(self) -> AsyncIterator[str]:
        """Yield the ids of all sessions; see `SupportsListing`."""
        async for name in self._names():
            if is_session_id(name):
                yield name

    @shielded
    async def diagnose(self) -> list[Finding]:
        """Look for old sessions, and for an index that deletes live ones.

        See `SupportsDiagnosis`.
        """
        long_ago = DatetimeMS(int((self._clock() - 2 * self.lifetime) * 1000))
        with self._operation() as rows:
            left = await rows.count_documents(expired(long_ago))
            indexes = await rows.index_information()
        return [*left_behind(left), *findings_of(indexes, self.lifetime)]

    @shielded
    async def open(self) -> None:
        """Reach the server, and read from the collection."""
        with self._operation() as rows:
            await rows.find_one({"_id": ""}, {"_id": 1})

    @shielded
    async def _delete_batch(self, count: int) -> int:
        conditions = expired(self._newest_expired())
        with self._operation() as rows:
            found = await rows.find(conditions, {"_id": 1}).limit(count).to_list(count)
            still_expired = {**conditions, "_id": {"$in": [row["_id"] for row in found]}}  # some may have been used
            return (await rows.delete_many(still_expired)).deleted_count

    async def _find(self, keys: list[str]) -> list[Stored | Exception | None]:
        now = self._newest_expired()
        with self._operation() as rows:
            found = await rows.find({"_id": {"$in": keys}}, {"data": 1, "modified": 1}).to_list(None)
        assert self.max_data_bytes is not None
        limit = self.max_data_bytes
        rows_by_key = {one["_id"]: as_row(one, now, self.lifetime, limit) for one in found}
        return [rows_by_key.get(key) for key in keys]

    def _newest_expired(self) -> DatetimeMS:
        """Return the newest time of use that has expired.

        A document that was used at this time, or before, has expired.
        """
        return DatetimeMS(int((self._clock() - self.lifetime) * 1000))
