"""Sessions in MongoDB: one document for each.

A load and a write take one round trip each.

    {_id: key, data: Binary, version: int64, expires_at: date, created_at: date, modified: date, owner: text}

What has to be compared and written at once is a single `updateOne` or `deleteOne`, which MongoDB
does atomically. Expiry is a condition of every write, and checked after every read; the TTL index
only clears up behind it. A session without an owner has no such field.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Hashable

try:
    import pymongo
    from bson.int64 import Int64
except ImportError as error:  # pragma: no cover - tested in an interpreter without pymongo
    raise ImportError('MongoStore needs motor or pymongo: pip install "starlette-sessions-ext[mongo]"') from error

from ...errors import ConfigurationError
from .._support.cleanup import delete_in_batches
from .._support.driver_versions import check_version
from .._support.shielding import shielded
from ..base import Finding, Stored, check_expires_at, check_key, check_row, is_key
from .collection import address_of
from .diagnosis import faults, findings, owner_fault
from .documents import as_row, date, expired, living, unchanged
from .operations import MongoOperations
from .owned_rows import OwnedRows
from .writes import create_document, update_document, write_verified

check_version("pymongo")

_logger = logging.getLogger("starlette_sessions_ext")

_BATCH_SIZE = 100
"""Expired rows deleted at once."""


class MongoStore(MongoOperations, OwnedRows):
    """A store in MongoDB 4.4 or later.

    Takes a collection of motor or of pymongo's `AsyncMongoClient`, whose client it never closes, or
    a URL (`mongodb://user:password@host:27017/database`), for which it makes a client and closes
    it. `collection` is the collection's name at a URL; a URL that names no database means `session`.

    `timeout` is the budget of one operation in seconds; `clock` gives unix seconds. `open` makes the
    TTL index and that of owners. `modified` is the time of the last write or touch. A store made from a URL has
    a client for each event loop that uses it. Raises `ConfigurationError` for settings that can't work.
    """

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        return await self._load(key)

    @shielded
    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        now = self._now()
        version = Int64(secrets.randbits(62))  # so that a version of a former row under this key is worth nothing
        fields = {"expires_at": date(expires_at), "created_at": now, "modified": now}
        document = {"_id": key, "data": data, "version": version, **fields}
        with self._operation() as rows:
            write = create_document(rows, document if owner is None else {**document, "owner": owner})
            return await write_verified(rows, key, data, write, self._timeout)

    @shielded
    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        content = {"data": data, "expires_at": date(expires_at), "modified": self._now()}
        change = {"$set": content, "$inc": {"version": 1}, "$unset": {"owner": ""}}
        if owner is not None:
            change = {"$set": {**content, "owner": owner}, "$inc": {"version": 1}}
        with self._operation() as rows:
            write = update_document(rows, unchanged(key, version, self._now()), change)
            return await write_verified(rows, key, data, write, self._timeout)

    @shielded
    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        times = {"expires_at": date(expires_at), "modified": self._now()}
        with self._operation() as rows:
            return await update_document(rows, living(key, self._now()), {"$set": times})

    @shielded
    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        now = self._now()
        conditions = living(key, now) if version is None else unchanged(key, version, now)
        with self._operation() as rows:
            return (await rows.delete_one(conditions)).deleted_count == 1

    async def delete_expired(self, limit: int = 1000) -> int:
        """Remove expired sessions at a pace that requests hardly notice.

        Each step has the budget of an operation.
        """
        return await delete_in_batches(self._delete_batch, limit, batch_size=_BATCH_SIZE)

    @shielded
    async def _delete_batch(self, count: int) -> int:
        conditions = expired(self._now())
        with self._operation() as rows:
            found = rows.find(conditions, {"_id": 1}).sort("expires_at", 1).limit(count)
            keys = [row["_id"] for row in await found.to_list(count)]
            still_expired = {**conditions, "_id": {"$in": keys}}  # some may have been touched
            return (await rows.delete_many(still_expired)).deleted_count

    async def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all sessions; see `SupportsListing`."""
        async for name in self._names():
            if is_key(name):  # not PHP's
                yield name

    @shielded
    async def diagnose(self) -> list[Finding]:
        """Look for missing rights and indexes, and for less than a replica set.

        See `SupportsDiagnosis`.
        """
        with self._operation() as rows:
            return await findings(rows, address_of(rows))

    @shielded
    async def open(self) -> None:
        """Reach the server, make missing indexes, and check the user's rights.

        The user has to read and write.

        Raises `ConfigurationError` if something is missing that the user may not make. Without the index on
        `owner` sessions are served, and the log says what makes it.
        """
        with self._operation() as rows:
            found = await faults(rows, repair=True)
            if found:
                raise ConfigurationError("; ".join(f"{finding.problem}: {finding.remedy}" for finding in found))
            with pymongo.timeout(self._timeout / 2):
                missing = await owner_fault(rows, repair=True)
        if missing is not None:
            _logger.warning("%s: %s", missing.problem, missing.remedy)

    async def _find(self, keys: list[str]) -> list[Stored | Exception | None]:
        now = self._now()
        with self._operation() as rows:
            found = rows.find({"_id": {"$in": keys}}, {"data": 1, "version": 1, "expires_at": 1})
            documents = {document["_id"]: document for document in await found.to_list(None)}
        return [as_row(documents[key], now, rows.full_name) if key in documents else None for key in keys]
