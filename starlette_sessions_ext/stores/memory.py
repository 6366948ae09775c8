"""Keep sessions in the memory of a process, for tests or a worker that may forget."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Hashable

from ..errors import StoreFull
from ._support.options import check_count, check_options
from .base import (
    DEFAULT_MAX_DATA_BYTES,
    Stored,
    SupportsOwners,
    check_data,
    check_expires_at,
    check_key,
    check_owner,
    check_row,
    new_stored,
)


class MemoryStore(SupportsOwners):
    """A store in memory. Every process has its own, and it ends with the process.

    It holds at most `max_entries` sessions and `max_bytes` bytes of data. When it is full of live
    sessions it raises `StoreFull` rather than forget one. `clock` gives unix seconds.

    Raises `ConfigurationError` for options that can't work.
    """

    def __init__(
        self,
        *,
        max_entries: int = 100_000,
        max_bytes: int = 256 * 1024 * 1024,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(clock=clock, max_data_bytes=max_data_bytes)
        check_count("max_entries", max_entries)
        check_count("max_bytes", max_bytes)
        self.max_data_bytes = max_data_bytes
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._rows: dict[str, Stored] = {}
        self._owners: dict[str, str] = {}
        self._keys: dict[str, set[str]] = {}  # by owner
        self._bytes = 0
        self._versions = itertools.count(1)
        self._queue: list[tuple[int, str]] = []  # when to look at which row again; may be outdated

    async def load(self, key: str) -> Stored | None:
        row = self._rows.get(key)
        if row is None:
            check_key(key)  # what isn't a key has no row
            return None
        return row if self._clock() < row.expires_at else None

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        if self._live(key) is not None:
            return False
        self._remove(key)  # it may be there still, expired
        self._make_room(1, len(data))
        self._put(key, data, expires_at, owner)
        return True

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        row = self._rows.get(key)
        if row is None:
            check_key(key)  # what isn't a key has no row
        check_data(data, expires_at, self.max_data_bytes, owner)
        if row is None or row.version != version or self._clock() >= row.expires_at:
            return False
        growth = len(data) - len(row.data)
        if growth > 0 and self._bytes + growth > self._max_bytes:
            self._make_room(0, growth)
            if key not in self._rows:  # that took a moment, in which it has expired
                return False
        self._rows[key] = new_stored((data, next(self._versions), expires_at))
        self._bytes += growth
        if owner != self._owners.get(key):
            self._disown(key)
            self._own(key, owner)
        if expires_at < row.expires_at:
            self._enqueue(key, expires_at)
        return True

    async def touch(self, key: str, expires_at: int) -> bool:
        check_expires_at(expires_at)
        row = self._live(key)
        if row is None:
            return False
        self._rows[key] = row._replace(expires_at=expires_at)
        if expires_at < row.expires_at:
            self._enqueue(key, expires_at)
        return True

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        row = self._live(key)
        if row is None or version not in (None, row.version):
            return False
        self._remove(key)
        return True

    async def delete_expired(self, limit: int = 1000) -> int:
        return self._collect(limit)

    async def owner_of(self, key: str) -> str | None:
        return None if self._live(key) is None else self._owners.get(key)

    async def keys_of(self, owner: str) -> list[str]:
        check_owner(owner)
        return [key for key in self._keys.get(owner, ()) if self._live(key) is not None]

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        if keep is not None:
            check_key(keep)
        removed = [key for key in await self.keys_of(owner) if key != keep]
        for key in removed:
            self._remove(key)
        return len(removed)

    async def open(self) -> None:
        pass

    async def aclose(self) -> None:
        """Keep the sessions until the store itself goes; there is nothing to close."""

    def _live(self, key: str) -> Stored | None:
        row = self._rows.get(key)
        if row is None:
            check_key(key)  # what isn't a key has no row
            return None
        return row if self._clock() < row.expires_at else None

    def _put(self, key: str, data: bytes, expires_at: int, owner: str | None) -> None:
        self._rows[key] = Stored(data, next(self._versions), expires_at)
        self._bytes += len(data)
        self._own(key, owner)
        self._enqueue(key, expires_at)

    def _own(self, key: str, owner: str | None) -> None:
        if owner is not None:
            self._owners[key] = owner
            self._keys.setdefault(owner, set()).add(key)

    def _remove(self, key: str) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            self._bytes -= len(row.data)
            self._disown(key)

    def _disown(self, key: str) -> None:
        owner = self._owners.pop(key, None)
        if owner is not None:
            keys = self._keys[owner]
            keys.discard(key)
            if not keys:
                del self._keys[owner]

    def _make_room(self, entries: int, size: int) -> None:
        """Raise `StoreFull` unless so much more fits. Expired rows go first."""
        self._collect(10)
        if self._is_full(entries, size):
            self._collect(len(self._rows))
            if self._is_full(entries, size):
                raise StoreFull(
                    "MemoryStore is full of live sessions: raise max_entries or max_bytes, or take a durable store"
                )

    def _is_full(self, entries: int, size: int) -> bool:
        return len(self._rows) + entries > self._max_entries or self._bytes + size > self._max_bytes

    def _collect(self, limit: int) -> int:
        """Remove up to `limit` expired rows, the longest expired first."""
        now = self._clock()
        collected = 0
        while self._queue and self._queue[0][0] <= now and collected < limit:
            _, key = heapq.heappop(self._queue)
            row = self._rows.get(key)
            if row is None:
                continue
            if row.expires_at > now:
                heapq.heappush(self._queue, (row.expires_at, key))  # it was touched since
            else:
                self._remove(key)
                collected += 1
        return collected

    def _enqueue(self, key: str, expires_at: int) -> None:
        """Note when to look at a row. An expiry that has become later is noticed then.

        Rows that were deleted or moved leave entries behind, which are removed now and then.
        """
        heapq.heappush(self._queue, (expires_at, key))
        if len(self._queue) > 2 * len(self._rows) + 64:
            self._queue = [(row.expires_at, key) for key, row in self._rows.items()]
            heapq.heapify(self._queue)
