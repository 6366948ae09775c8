"""The conditions that find rows of PHP's table through HandlerSocket. Pure."""

from __future__ import annotations

from ...handlersocket import Filter, Value, Where
from .claims import FIRST_CLAIM

_MODIFIED = 0
"""The position among the filter columns."""


def unclaimed(key: str, newest_expired: str) -> Where:
    """Find the row of a session that is alive, and that no writer has claimed."""
    alive = Filter(">", _MODIFIED, newest_expired)
    return Where("=", (key,), filters=(alive, Filter("<", _MODIFIED, FIRST_CLAIM)))


def still(key: Value, modified: Value) -> Where:
    """Find a row while it has this in `modified`, such as a claim."""
    return Where("=", (key,), filters=(Filter("=", _MODIFIED, modified),))


def expired(key: str, newest_expired: str) -> Where:
    """Find the row of a session that has expired."""
    return Where("=", (key,), filters=(Filter("<=", _MODIFIED, newest_expired),))


def all_expired(newest_expired: str, limit: int) -> Where:
    """Find expired rows by the index of `modified`."""
    return Where("<=", (newest_expired,), limit=limit)


def all_abandoned(last_expired_claim: str, limit: int) -> Where:
    """Find rows that were claimed long ago and never written.

    It finds them by the index of `modified`.
    """
    recent = Filter("<=", _MODIFIED, last_expired_claim, stops=True)
    return Where(">=", (FIRST_CLAIM,), limit=limit, filters=(recent,))
