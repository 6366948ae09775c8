"""Find and delete the expired rows of a PostgreSQL table.

The amount of work at a time is bounded. What expired on a day that is over is found by the index of the day.
Rows that expire today may be many, and most of them may still live: these are looked at by ranges of the
table's blocks, one range at a time.
"""

from __future__ import annotations

from . import statements
from .table import SessionTable

_FOUND_AT_ONCE = 1000


class ExpiredRows:
    """A search for expired rows, once through the table.

    It begins with the range `place` of the table's blocks.
    """

    def __init__(self, table: SessionTable, place: int) -> None:
        self.place = place
        self._table = table
        self._found: list[str] = []
        self._may_have_past_days = True
        self._ranges_left: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether all rows were looked at, and the expired ones deleted."""
        return not self._found and self._ranges_left == 0

    async def delete(self, count: int, now: int) -> int:
        """Delete up to `count` rows, and return their number.

        A row that was used since, or is locked, is left.
        """
        if not self._found and not self.is_over:
            await self._find(now)
        keys, self._found = self._found[:count], self._found[count:]
        if not keys:
            return 0
        deleted = await self._table.execute(statements.DELETE_EXPIRED, keys, now)
        if deleted < len(keys):
            self._may_have_past_days = False  # the same would be found again
        return deleted

    async def _find(self, now: int) -> None:
        if self._may_have_past_days:
            self._found = await self._table.fetch_keys(statements.FIND_PAST_DAYS, now, _FOUND_AT_ONCE)
            self._may_have_past_days = len(self._found) == _FOUND_AT_ONCE
            return
        [(size, length)] = await self._table.fetch(statements.COUNT_BLOCKS)
        ranges: int = -(-size // length) or 1
        left = self._ranges_left
        if left is None:
            left = ranges
        else:
            self.place += 1
        self.place %= ranges
        start, end = self.place * length, (self.place + 1) * length
        self._found = await self._table.fetch_keys(statements.FIND_TODAY, now, (start, 0), (end, 0))
        self._ranges_left = left - 1
