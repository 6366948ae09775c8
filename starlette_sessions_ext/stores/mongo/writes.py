"""Create or change one document, and look for a write whose answer was lost."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import DuplicateKeyError

from .collection import SETTLED
from .documents import Conditions, taken_by_expired
from .errors import DRIVER_ERRORS, is_refusal

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection


async def create_document(rows: AsyncCollection[Any], document: dict[str, Any]) -> bool:
    """Insert the document; if an expired one has the key, remove that and retry."""
    if await insert_document(rows, document):
        return True
    await rows.delete_one(taken_by_expired(document["_id"], document["created_at"]))
    return await insert_document(rows, document) or await _contains(rows, document["_id"], document["data"])


async def update_document(rows: AsyncCollection[Any], conditions: Conditions, change: dict[str, Any]) -> bool:
    """Change an existing document, and return whether it was found.

    It may have had these very values.
    """
    return (await rows.update_one(conditions, change)).matched_count == 1


async def write_verified(
    rows: AsyncCollection[Any], key: str, data: bytes, write: Awaitable[bool], seconds: float
) -> bool:
    """Send a write, and look for its data if the answer got lost.

    The client may send it again, but only to a replica set, which knows it by its number and doesn't
    do it twice (retryable writes). Half of the budget of `seconds` is kept for the look.
    """
    try:
        with pymongo.timeout(seconds / 2):
            return await write
    except DRIVER_ERRORS as error:
        if is_refusal(error):
            raise
        unknown = error
    with suppress(*DRIVER_ERRORS):  # what went wrong first says more
        if await _contains(rows, key, data):
            return True
    raise unknown


async def insert_document(rows: AsyncCollection[Any], document: dict[str, Any]) -> bool:
    """Insert the document; return False if the key is taken."""
    try:
        await rows.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


async def _contains(rows: AsyncCollection[Any], key: str, data: bytes) -> bool:
    settled = rows.with_options(read_concern=SETTLED)
    return await settled.find_one({"_id": key, "data": data}, {"_id": 1}) is not None
