"""A session's document: the conditions that find it, and its row. Pure.

The conditions name the types of all fields. So nothing changes a document that isn't a session's.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64

from ...errors import CorruptRecord
from ..base import Stored

NOT_TEXT = "\N{REPLACEMENT CHARACTER}"
"""Stands for bytes of a foreign document that aren't UTF-8."""

Conditions = dict[str, Any]

_NO_ARRAY: Conditions = {"$not": {"$type": "array"}}  # a condition holds for an array if it holds for an element
_OURS: Conditions = {
    "data": {"$type": "binData", **_NO_ARRAY},
    "version": {"$type": ["int", "long"], "$lt": Int64(2**63 - 1), **_NO_ARRAY},
}
_KEY: Conditions = {"$regex": r"\A[a-z2-7]{32}\z"}


def date(seconds: int) -> DatetimeMS:
    """Return the date of a unix time."""
    return DatetimeMS(seconds * 1000)


def living(key: str, now: DatetimeMS) -> Conditions:
    """Return the conditions for the session's document while it hasn't expired."""
    return {"_id": key, "expires_at": {"$gt": now, **_NO_ARRAY}, **_OURS}


def unchanged(key: str, version: Hashable, now: DatetimeMS) -> Conditions:
    """Return the conditions for the document while it also has this version.

    What isn't a version finds nothing.
    """
    possible = isinstance(version, int) and abs(version) < 2**63
    return {**living(key, now), "version": {**_OURS["version"], "$eq": version} if possible else {"$in": []}}


def owned(owner: str) -> Conditions:
    """Return the conditions for the documents of an owner, expired ones too.

    A condition on another field that has an index would let the server read all sessions by that one.
    """
    return {"owner": {"$eq": owner, **_NO_ARRAY}, **_OURS}


def living_owned(keys: Sequence[str], owner: str, now: DatetimeMS) -> Conditions:
    """Return the conditions for those sessions that are the owner's and live."""
    return {"_id": {"$in": list(keys)}, "expires_at": {"$gt": now, **_NO_ARRAY}, **owned(owner)}


def taken_by_expired(key: str, now: DatetimeMS) -> Conditions:
    """Return the conditions for an expired document under a key."""
    return {"_id": key, "expires_at": {"$lte": now, **_NO_ARRAY}}


def expired(now: DatetimeMS) -> Conditions:
    """Return the conditions for the documents of all expired sessions."""
    return {"_id": _KEY, "expires_at": {"$lte": now, **_NO_ARRAY}}


def is_living(document: dict[str, Any], now: DatetimeMS) -> bool:
    """Return whether a document has an expiry that hasn't come."""
    expires_at = document.get("expires_at")
    return isinstance(expires_at, DatetimeMS) and expires_at > now


def as_row(document: dict[str, Any], now: DatetimeMS, namespace: str) -> Stored | CorruptRecord | None:
    """Return the document's row, None if it has expired, or an error.

    The error is for a document that isn't a session's.
    """
    data, version, expires_at = document.get("data"), document.get("version"), document.get("expires_at")
    if isinstance(expires_at, DatetimeMS):
        if expires_at <= now:
            return None
        if (
            isinstance(data, bytes)
            and isinstance(version, int)
            and not isinstance(version, bool)
            and version < 2**63 - 1
        ):
            return Stored(bytes(data), int(version), int(expires_at) // 1000)
    return CorruptRecord(f"a document in {namespace} isn't a session's, though its _id is a session's key")
