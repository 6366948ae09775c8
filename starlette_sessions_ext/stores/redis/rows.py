"""Write a session and its owner as one string of Redis, and read it. Pure.

A row without an owner is its data. One with an owner ends in a tail that names the owner, and the time up to which
the owner's index lists the row: until then a write needs no call for the index.
"""

from __future__ import annotations

import re
from typing import NamedTuple

TAIL_BYTES = 58
LUA_TAIL = "^ owner=([a-z2-7]+) until=(%d+)$"
"""The tail in Lua's patterns: the owner and the time."""

_BEGINNING = b" owner="
_TAIL = re.compile(rb" owner=([a-z2-7]{32}|-{32}) until=([0-9]{12})")
_NOBODY = "-" * 32
_EXTRA_SHARE = 16
_EXTRA_SECONDS = 60


class Row(NamedTuple):
    data: bytes
    owner: str | None = None
    listed_until: int = 0
    """Unix seconds; 0 where the row has no owner."""

    def __repr__(self) -> str:
        return f"Row(<{len(self.data)} bytes>)"


def read(value: bytes) -> Row:
    """Take a string of Redis apart."""
    if value[-TAIL_BYTES : len(_BEGINNING) - TAIL_BYTES] != _BEGINNING:
        return Row(value)
    tail = _TAIL.fullmatch(value[-TAIL_BYTES:])
    if tail is None:
        return Row(value)
    owner = tail[1].decode()
    return Row(value[:-TAIL_BYTES], None if owner == _NOBODY else owner, int(tail[2]))


def write(row: Row) -> bytes:
    """Put a row together.

    Data that ends as if in a tail gets a tail that names no owner.
    """
    if row.owner is None and read(row.data).data == row.data:
        return row.data
    return b"%b owner=%b until=%012d" % (row.data, (row.owner or _NOBODY).encode(), row.listed_until)


def listed_until(expires_at: int, now: float) -> int:
    """Return until when to list a row, so that few writes list it.

    It is a sixteenth of the row's lifetime longer than it lives.
    """
    return expires_at + int(expires_at - now) // _EXTRA_SHARE + _EXTRA_SECONDS
