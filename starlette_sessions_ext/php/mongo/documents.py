"""A document of Phalcon's adapter Mongo, its conditions and its row. Pure.

The conditions find the document, and the document becomes the row. The conditions name the types of all fields. So
nothing changes a document that isn't a session's.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from bson.datetime_ms import DatetimeMS

from ...errors import CorruptRecord
from ...stores.base import Stored
from ...stores.mongo.documents import Conditions, date

_NO_ARRAY: Conditions = {"$not": {"$type": "array"}}  # a condition holds for an array if it holds for an element
_TEXT: Conditions = {"$type": "string", **_NO_ARRAY}


def document(session_id: str, text: str, used_at: int) -> dict[str, Any]:
    """Return a document as the adapter writes it, with these fields alone.

    PHP drops other fields.
    """
    return {"_id": session_id, "modified": date(used_at), "data": text}


def living(session_id: str, newest_expired: DatetimeMS) -> Conditions:
    """Find a session's document while it hasn't expired."""
    return {"_id": session_id, "modified": {"$gt": newest_expired, **_NO_ARRAY}, "data": _TEXT}


def unchanged(session_id: str, version: Hashable, newest_expired: DatetimeMS) -> Conditions:
    """Find it while it has these data, too. What isn't a version finds nothing."""
    text = version.decode(errors="replace") if isinstance(version, bytes) else ""
    possible = {**_TEXT, "$eq": text} if text.encode() == version else {"$in": []}
    return {**living(session_id, newest_expired), "data": possible}


def expired(newest_expired: DatetimeMS) -> Conditions:
    """Find the documents of all sessions that have expired."""
    return {"_id": {"$type": "string"}, "modified": {"$lte": newest_expired, **_NO_ARRAY}, "data": _TEXT}


def as_row(
    found: dict[str, Any], newest_expired: DatetimeMS, lifetime: int, max_data_bytes: int
) -> Stored | CorruptRecord | None:
    """Make the row; None if it has expired.

    It returns the error where the document isn't a session's, or is too large.
    """
    text, modified = found.get("data"), found.get("modified")
    if not isinstance(text, str) or not isinstance(modified, DatetimeMS):
        return CorruptRecord(
            "a document under the id of a PHP session isn't one of the adapter Mongo, with a date in `modified` and "
            "text in `data`. It was left as it is."
        )
    if modified <= newest_expired:
        return None
    data = text.encode()
    if len(data) > max_data_bytes:
        return CorruptRecord(
            f"a session of PHP in MongoDB has {len(data)} bytes: raise max_data_bytes. It was left as it is."
        )
    return Stored(data, data, int(modified) // 1000 + lifetime)
