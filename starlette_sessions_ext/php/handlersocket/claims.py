"""Claims, which compare a write with what was loaded. Pure.

They are for a row that has no version.

HandlerSocket can't compare the data, for it filters no column of text. But it compares and sets `modified` in one
step. So a writer puts a claim there, and reads the data behind it. It writes on the condition that its claim is still
there. PHP sets `modified` with each write, and so takes any claim away. It reads the column only to delete what is
old.

A claim is a time from the year 3000 on. It holds the time at which it was made. So a row of a process that was
killed expires as any other.
"""

from __future__ import annotations

import secrets

from ..local_times import LocalTimes

_FIRST = 32_503_680_000
"""The year 3000, in unix seconds."""
_SPREAD = 32
"""Claims for each second of the clock. The last second that has some is in the year 2188."""
_RANDOM_BITS = 12

_TIMES = LocalTimes("UTC")

FIRST_CLAIM = _TIMES.to_text(_FIRST)


def new_claim(now: int) -> str:
    """Return a claim that no other writer has made within two minutes.

    The chance that one has is one in 4096.
    """
    return _TIMES.to_text(_FIRST + _SPREAD * now + secrets.randbits(_RANDOM_BITS))


def is_claim(modified: str) -> bool:
    """Return whether a writer has claimed the row."""
    return modified >= FIRST_CLAIM


def claimed_at(claim: str) -> int:
    """Return when a claim was made, in unix seconds; up to 127 later than it was."""
    return (_TIMES.from_text(claim) - _FIRST) // _SPREAD


def last_claim(now: int) -> str:
    """Return the last claim that counts as made at that time."""
    return _TIMES.to_text(_FIRST + _SPREAD * now + _SPREAD - 1)
