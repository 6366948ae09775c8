"""The owners of rows: an index for each, a sorted set of keys.

In a Cluster an index isn't where its rows are, so no command writes both. The index is written first: a row that is
alive is always listed. A row that is listed may be gone, or have another owner by now, so each is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress

from .answers import Answers
from .clients import Commands
from .errors import DRIVER_ERRORS, INDEXING, cause_of
from .rows import listed_until, read

_BATCH = 128
"""Rows that are looked at or removed at once."""


class Owners:
    """The indexes of a store's owners, and their rows.

    Each batch of rows has the deadline of an operation.
    """

    def __init__(
        self,
        here: Callable[[], Commands],
        answers: Answers,
        *,
        prefix: str,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._here = here
        self._answers = answers
        self._prefix = prefix
        self._timeout = timeout
        self._clock = clock

    async def add(self, owner: str, key: str, expires_at: int, version: Hashable = None) -> int:
        """List a row, and return until when it is listed: longer than it lives.

        Sends nothing where `version` shows that the index lists the row until `expires_at` or later.
        """
        before = read(version) if isinstance(version, bytes) else None
        if before is not None and before.owner == owner and expires_at <= before.listed_until:
            return before.listed_until
        now = self._clock()
        until = listed_until(expires_at, now)
        try:
            await self._here().lists.submit(self._index(owner), int(now), key, until)
        except DRIVER_ERRORS as error:
            raise self._answers.store_error(error, INDEXING) from cause_of(error)
        return until

    async def remove(self, owner: str, keys: Sequence[str], deadline: float) -> None:
        """Take rows that are gone off the list, by a time of the loop's.

        Raises nothing: the rows are gone, and the server forgets the entries later in any case.
        """
        unlists = self._here().unlists
        with suppress(*DRIVER_ERRORS):
            async with asyncio.timeout_at(deadline):
                await asyncio.gather(*(unlists.submit(self._index(owner), key) for key in keys))

    async def of(self, key: str) -> str | None:
        owner = await self._answers.of(self._here().owners.submit(self._prefix + key))
        return owner.decode() if owner else None

    async def keys_of(self, owner: str) -> list[str]:
        calls, name = self._here().owners, owner.encode()
        found: list[str] = []
        for keys in await self._batches(owner):
            owners = await self._answers.of_all(calls.submit(self._prefix + key) for key in keys)
            found += [key for key, its in zip(keys, owners, strict=True) if its == name]
        return found

    async def delete_all_of(self, owner: str, keep: str | None) -> int:
        calls, removed = self._here().deletes, 0
        for keys in await self._batches(owner, keep):
            deadline = asyncio.get_running_loop().time() + self._timeout
            done = await self._answers.of_all(calls.submit(self._prefix + key, "", owner) for key in keys)
            gone = [key for key, was in zip(keys, done, strict=True) if was]
            await self.remove(owner, gone, deadline)
            removed += len(gone)
        return removed

    async def _batches(self, owner: str, keep: str | None = None) -> list[list[str]]:
        """Return the keys that an owner's index lists, in batches."""
        try:
            found = await self._here().listed.submit(self._index(owner), int(self._clock()))
        except DRIVER_ERRORS as error:
            raise self._answers.store_error(error, INDEXING) from cause_of(error)
        keys = [key for key in map(bytes.decode, found) if key != keep]
        return [keys[first : first + _BATCH] for first in range(0, len(keys), _BATCH)]

    def _index(self, owner: str) -> str:
        return f"{self._prefix}owner:{owner}"
