"""The rows of PHP's table, and how they are read and changed.

A row is changed only if it is what was loaded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ...handlersocket import Client, Value, Where
from ...handlersocket import Row as Values
from ...stores.handlersocket.columns import Indexes
from ...stores.handlersocket.ports import Ports
from ..local_times import LocalTimes
from . import claims, conditions

_PATIENCE = 25
"""Looks at a row that another writer has claimed, before that writer counts as gone."""
_PAUSE = 0.004
"""Seconds between two looks, at most."""

Change = Callable[[Where], Awaitable[list[Values]]]
"""A change of the one row that a condition finds. Returns that row as it was."""


class Row(NamedTuple):
    """A session as it is stored. `used_at` is in unix seconds."""

    modified: str
    data: bytes
    used_at: int


class PHPTable:
    """The rows of sessions that live for `lifetime` seconds.

    `clock` gives unix seconds.
    """

    def __init__(self, indexes: Indexes, times: LocalTimes, lifetime: int, clock: Callable[[], float]) -> None:
        self.indexes = indexes
        self._times = times
        self._lifetime = lifetime
        self._clock = clock

    def modified(self, expires_at: int) -> str:
        """Return what `modified` is in a row that lives until then."""
        return self._times.to_text(expires_at - self._lifetime)

    def newest_expired(self, ago: int = 0) -> str:
        """Return the `modified` of rows that ended just now, or as many seconds ago."""
        return self._times.to_text(self._last_second() - ago)

    def last_expired_claim(self) -> str:
        return claims.last_claim(self._last_second())

    def living(self, found: list[Values], key: str) -> Row | None:
        """Return the session among what was found; None if it has expired.

        A row of another id is None as well. A row whose data are NULL is none to PHP either.
        """
        for name, modified, data in found:
            text = (modified or b"").decode()
            used_at = self._used_at(text)
            if name == key.encode() and data is not None and used_at > self._last_second():
                return Row(text, data, used_at)
        return None

    async def change(self, ports: Ports, key: str, version: bytes | None, change: Change) -> bool:
        """Change the row of a session if it has the data `version`.

        If `version` is None, any data will do. Returns False if the row has other data, or is gone.
        """
        while (claim := await self._claim(ports, key, version)) is not None:
            if await change(conditions.still(key, claim)):
                return True
        return False

    async def _claim(self, ports: Ports, key: str, version: bytes | None) -> str | None:
        """Claim the row of a session, and return the claim.

        Returns None if the row has other data, or is gone.
        """
        looks = 0
        where = conditions.unclaimed(key, self.newest_expired())
        while True:
            claim = claims.new_claim(int(self._clock()))
            before, found = await ports.write(_claim_and_read, self.indexes, where, key, claim)
            row = self.living(found, key)
            is_same = row is not None and version in (None, row.data)
            if before and is_same:
                return claim
            if before:
                await self._give_back(ports, conditions.still(key, claim), before[0])
            if row is None or not is_same:
                return None
            looks += 1
            await asyncio.sleep(random.uniform(0, _PAUSE))
            is_abandoned = looks % _PATIENCE == 0
            where = (
                conditions.still(key, row.modified)
                if is_abandoned
                else conditions.unclaimed(key, self.newest_expired())
            )

    async def _give_back(self, ports: Ports, claimed: Where, before: Values) -> None:
        """Let `modified` be what it was before the claim."""
        await ports.write(Client.fetch_and_update, self.indexes.expiries, claimed, before)

    def _used_at(self, modified: str) -> int:
        """Return unix seconds; 0, long expired, for the zero date."""
        if claims.is_claim(modified):
            return claims.claimed_at(modified)
        try:
            return self._times.from_text(modified)
        except ValueError:
            return 0

    def _last_second(self) -> int:
        """Return the newest time of use that has expired, in unix seconds.

        A row that was used at this time, or before, has expired.
        """
        return int(self._clock()) - self._lifetime


async def _claim_and_read(
    client: Client, indexes: Indexes, where: Where, key: Value, claim: str
) -> tuple[list[Values], list[Values]]:
    """Claim the row if the condition finds it, and read it, in one round trip.

    Returns `modified` as it was, and what was read.
    """
    return await asyncio.gather(
        client.fetch_and_update(indexes.expiries, where, (claim,)),
        client.find(indexes.rows, Where("=", (key,))),
    )
