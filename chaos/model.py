"""The contract of stores as a model in plain Python: one dict, no concurrency, no failure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

Edition = int
"""Which write a row's content comes from. What a store calls a version stands for one of these."""


@dataclass(slots=True)
class Row:
    data: bytes
    edition: Edition
    expires_at: int


class Model:
    """The methods of a store, with editions in place of versions. Expired rows stay until they are collected."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.rows: dict[str, Row] = {}
        self._clock = clock
        self._editions = itertools.count(1)

    def load(self, key: str) -> Row | None:
        row = self.rows.get(key)
        return row if row is not None and self._clock() < row.expires_at else None

    def create(self, key: str, data: bytes, expires_at: int) -> bool:
        if self.load(key) is not None:
            return False
        self.rows[key] = Row(data, next(self._editions), expires_at)
        return True

    def replace(self, key: str, data: bytes, expires_at: int, edition: Edition | None) -> bool:
        row = self.load(key)
        if row is None or row.edition != edition:
            return False
        self.rows[key] = Row(data, next(self._editions), expires_at)
        return True

    def touch(self, key: str, expires_at: int) -> bool:
        row = self.load(key)
        if row is None:
            return False
        row.expires_at = expires_at
        return True

    def delete(self, key: str) -> bool:
        if self.load(key) is None:
            return False
        del self.rows[key]
        return True

    def delete_version(self, key: str, edition: Edition | None) -> bool:
        row = self.load(key)
        return row is not None and row.edition == edition and self.delete(key)

    def collect(self) -> int:
        """Remove what has expired, and say how many."""
        expired = [key for key in self.rows if self.load(key) is None]
        for key in expired:
            del self.rows[key]
        return len(expired)
