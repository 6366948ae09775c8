"""The shared parts of stores in MongoDB: clients, budgets and errors.

There is a client for each event loop, and a budget for each operation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pymongo
from bson.datetime_ms import DatetimeMS

from ...errors import ConfigurationError, StoreError, StoreTimeout
from .._support.batching import Batcher
from .._support.loop_local import LoopLocal
from .._support.options import check_options
from .._support.shielding import DetachedTasks, shielded, wait_all
from ..base import DEFAULT_MAX_DATA_BYTES, DEFAULT_TIMEOUT, Stored
from .collection import Source, address_of
from .documents import NOT_TEXT
from .errors import DRIVER_ERRORS, is_server_error, standing_refusal, to_store_error, unreachable

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection
    from pymongo.asynchronous.collection import AsyncCollection

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


class MongoOperations:
    """The collection and its operations. The options are those of `MongoStore`."""

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

    async def _load(self, key: str) -> Stored | None:
        """Load a row together with other loads of the same turn of the event loop."""
        mine = self._loops.get()
        in_time = await mine.detached.wait_all(key, self._timeout)
        answer = mine.loads.submit(key)
        try:
            if not (in_time and await wait_all([answer], self._timeout)):
                raise self._timeout_error()
        finally:
            answer.cancel()
        return answer.result()

    async def _names(self) -> AsyncIterator[str]:
        """Yield the `_id` of all documents whose `_id` is a text."""
        after, skipped = "", 0
        while page := await self._page(after, skipped):
            for name in page:
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

    async def _find(self, keys: list[str]) -> list[Stored | Exception | None]:
        """Return the rows of keys, in their order."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close the running event loop's client, if it was made here."""
        await self._loops.aclose()

    def _now(self) -> DatetimeMS:
        return DatetimeMS(int(self._clock() * 1000))

    @contextmanager
    def _operation(self) -> Iterator[AsyncCollection[Any]]:
        """Lend the loop's collection for the budget of one operation.

        The driver's errors become ours here. The time limit is pymongo's: pymongo and motor's threads
        clean up after it, as they may not after a cancellation.
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
