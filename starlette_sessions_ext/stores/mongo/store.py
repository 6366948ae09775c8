"""Sessions in MongoDB: one document per session, one round trip per load and per write.

    {_id: key, data: Binary, version: int64, expires_at: date, created_at: date, modified: date, owner: text}

What has to be compared and written at once is a single `updateOne` or `deleteOne`, which MongoDB
does atomically. Expiry is a condition of every write, and checked after every read; the TTL index
only clears up behind it. A session without an owner has no such field.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

try:
    import pymongo
    from bson.datetime_ms import DatetimeMS
    from bson.int64 import Int64
except ImportError as error:  # pragma: no cover - tested in an interpreter without pymongo
    raise ImportError('MongoStore needs motor or pymongo: pip install "starlette-sessions-ext[mongo]"') from error

from ...errors import ConfigurationError, StoreError, StoreTimeout
from .._support.batching import Batcher
from .._support.cleanup import delete_in_batches
from .._support.driver_versions import check_version
from .._support.loop_local import LoopLocal
from .._support.options import check_options
from .._support.shielding import DetachedTasks, shielded, wait_all
from ..base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    Stored,
    check_expires_at,
    check_key,
    check_row,
    is_key,
)
from .collection import Source, address_of
from .diagnosis import faults, findings, owner_fault
from .documents import NOT_TEXT, as_row, date, expired, living, unchanged
from .errors import DRIVER_ERRORS, is_server_error, standing_refusal, to_store_error, unreachable
from .owned_rows import OwnedRows
from .writes import create_document, update_document, write_verified

check_version("pymongo")

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection
    from pymongo.asynchronous.collection import AsyncCollection

_logger = logging.getLogger("starlette_sessions_ext")

_BATCH_SIZE = 100
"""Expired rows deleted at once."""
_PAGE = 1000
"""How many keys are read at once."""
_MAX_BATCHED_LOADS = 64
"""Sessions loaded by one command: its fixed cost is shared well by then."""
_LARGEST_DATA = 16_000_000
"""Bytes: MongoDB's limit of 16 MiB for a document, less what stands around the data."""


class _LoopState(NamedTuple):
    """The client of one event loop, its batches and its detached tasks."""

    rows: AsyncCollection[Any]
    loads: Batcher[str, Stored | None]
    detached: DetachedTasks
    loop: asyncio.AbstractEventLoop


class MongoStore(OwnedRows):
    """A store in MongoDB 4.4 or later.

    Takes a collection of motor or of pymongo's `AsyncMongoClient`, whose client it never closes, or
    a URL (`mongodb://user:password@host:27017/database`), for which it makes a client and closes
    it. `collection` is the collection's name at a URL; a URL that names no database means `session`.

    `timeout` is the budget of one operation in seconds; `clock` gives unix seconds. `open` makes the
    TTL index and that of owners. `modified` is the time of the last write or touch. A store made from a URL has
    a client for each event loop that uses it. Raises `ConfigurationError` for settings that can't work.
    """

    def __init__(
        self,
        collection_or_url: AsyncCollection[Any] | AsyncIOMotorCollection[Any] | str,
        *,
        collection: str = "session_data",
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes)
        self.max_data_bytes: int | None = _LARGEST_DATA if max_data_bytes is None else max_data_bytes
        if self.max_data_bytes > _LARGEST_DATA:
            raise ConfigurationError(f"a document of MongoDB holds no more than max_data_bytes={_LARGEST_DATA}")
        self._timeout = timeout
        self._clock = clock
        self._source = Source(collection_or_url, collection, timeout)
        self._loops = LoopLocal(self._make_loop_state, close=self._close_loop_state, abandon=self._abandon_loop_state)

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        mine = self._loops.get()
        in_time = await mine.detached.wait_all(key, self._timeout)
        answer = mine.loads.submit(key)
        try:
            if not (in_time and await wait_all([answer], self._timeout)):
                raise self._timeout_error()
        finally:
            answer.cancel()
        return answer.result()

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
        """At a pace that requests hardly notice; each step has the budget of an operation."""
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
        """The keys of all sessions; see `SupportsListing`."""
        after, skipped = "", 0
        while page := await self._page(after, skipped):
            for name in page:
                if is_key(name):  # not PHP's
                    yield name
            skipped += len(page)
            for behind, name in enumerate(reversed(page)):
                if NOT_TEXT not in name:  # else nothing can be asked for that comes after it
                    after, skipped = name, behind
                    break

    @shielded
    async def _page(self, after: str, skipped: int) -> list[str]:
        with self._operation() as rows:
            found = rows.find({"_id": {"$gt": after}}, {"_id": 1}).sort("_id", 1)
            return [row["_id"] for row in await found.skip(skipped).limit(_PAGE).to_list(_PAGE)]

    @shielded
    async def diagnose(self) -> list[Finding]:
        """Look for rights and indexes that are missing, and for less than a replica set; see `SupportsDiagnosis`."""
        with self._operation() as rows:
            return await findings(rows, address_of(rows))

    @shielded
    async def open(self) -> None:
        """Reach the server, make the indexes that aren't there, and check that the user may read and write.

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

    async def aclose(self) -> None:
        await self._loops.aclose()

    async def _find(self, keys: list[str]) -> list[Stored | Exception | None]:
        now = self._now()
        with self._operation() as rows:
            found = rows.find({"_id": {"$in": keys}}, {"data": 1, "version": 1, "expires_at": 1})
            documents = {document["_id"]: document for document in await found.to_list(None)}
        return [as_row(documents[key], now, rows.full_name) if key in documents else None for key in keys]

    def _now(self) -> DatetimeMS:
        return DatetimeMS(int(self._clock() * 1000))

    @contextmanager
    def _operation(self) -> Iterator[AsyncCollection[Any]]:
        """Give the loop's collection, for the budget of one operation; the driver's errors become ours here.

        It is pymongo's own, for that and motor's threads clean up after it, as they may not after a cancellation.
        """
        rows = self._loops.get().rows
        if refusal := standing_refusal(rows.database.client.topology_description):
            raise self._to_store_error(refusal)
        try:
            with pymongo.timeout(self._timeout):
                yield rows
        except DRIVER_ERRORS as error:
            raise self._to_store_error(error) from (None if is_server_error(error) else error)

    def _to_store_error(self, error: Exception) -> StoreError:
        rows = self._loops.get().rows
        return (
            to_store_error(error, address_of(rows), rows.full_name, rows.database.client.topology_description)
            or self._timeout_error()
        )

    def _timeout_error(self) -> StoreError:
        rows = self._loops.get().rows
        place = address_of(rows)
        return unreachable(place, rows.full_name, rows.database.client.topology_description) or StoreTimeout(
            f"{place} didn't answer within {self._timeout:g} s: it may be overloaded, or the network slow"
        )

    @property
    def _detached(self) -> DetachedTasks:
        return self._loops.get().detached

    def _make_loop_state(self) -> _LoopState:
        rows = self._source.collection()
        return _LoopState(
            rows,
            Batcher(self._find, max_size=_MAX_BATCHED_LOADS, timeout=None),
            DetachedTasks(),
            asyncio.get_running_loop(),
        )

    async def _close_loop_state(self, mine: _LoopState) -> None:
        await self._source.close(mine.rows)
        await mine.loads.wait_all(self._timeout)
        await mine.detached.wait_all(None, self._timeout)

    def _abandon_loop_state(self, mine: _LoopState) -> None:
        self._source.abandon(mine.rows, mine.loop)
