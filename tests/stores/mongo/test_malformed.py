"""Documents under a session's key that aren't a session's: each fails alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson.binary import Binary
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from starlette_sessions_ext import CorruptRecord, MongoStore, Stored
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock

pytestmark = pytest.mark.anyio

HOUR = 3600
VERSION = 7
MISSING, ENDED, LASTING = "missing", "a list with a date that has come", "a list with a date that hasn't"


def not_text(document: dict[str, Any]) -> RawBSONDocument:
    """The document, with bytes that aren't UTF-8 in the place of "????" in it."""
    encoded = bson.encode(document)
    assert b"????" in encoded
    return RawBSONDocument(encoded.replace(b"????", b"\xff\xfe\x80\x80"))


def malformed(key: str, soon: int, change: dict[str, Any]) -> Any:
    """A session's document but for one field."""
    lasting, ended = datetime.fromtimestamp(soon, UTC), datetime.fromtimestamp(soon - HOUR / 2, UTC)
    document = {"_id": key, "data": b"theirs", "version": VERSION, "expires_at": lasting, **change}
    lists = {ENDED: [ended], LASTING: [lasting]}
    document["expires_at"] = lists.get(str(document["expires_at"]), document["expires_at"])
    kept = {name: value for name, value in document.items() if value != MISSING}
    return not_text(kept) if "????" in kept.values() else kept


MALFORMED = [
    *(
        {"data": value}
        for value in (MISSING, None, "text", "????", 7, [b"theirs"], {"$binary": "x"}, ObjectId(b"x" * 12))
    ),
    *({"version": value} for value in (MISSING, None, "7", "????", 7.0, True, [7], Decimal128("7"), 2**63 - 1)),
    *({"expires_at": value} for value in (MISSING, None, "2100", 4102444800, 4102444800.0, ENDED, LASTING)),
    {"expires_at": DBRef("dates", 1)},
]


@pytest.mark.parametrize("change", MALFORMED, ids=repr)
async def test_a_malformed_document_fails_alone(
    store: MongoStore, rows: Collection[Any], clock: FakeClock, soon: int, change: dict[str, Any]
) -> None:
    keys = [key_of(new_id()) for _ in range(3)]
    bad = keys[1]
    for key in (keys[0], keys[2]):
        assert await store.create(key, b"mine", soon)
    rows.insert_one(malformed(bad, soon, change))
    clock.advance(HOUR * 2 / 3)
    before = rows.with_options(bson.CodecOptions(document_class=RawBSONDocument)).find_one({"_id": bad})
    answers = await asyncio.gather(*(store.load(key) for key in keys), return_exceptions=True)
    assert [isinstance(answer, Stored) for answer in answers] == [True, False, True]
    with pytest.raises(CorruptRecord, match=r"session\.session_data"):
        await store.load(bad)
    assert not await store.create(bad, b"mine", soon)
    for version in (VERSION, 7.0, "7", 2**63 - 1):
        assert not await store.replace(bad, b"mine", soon, version)
        assert not await store.delete(bad, version)
    assert not await store.touch(bad, soon + HOUR)
    assert not await store.delete(bad)
    after = rows.with_options(bson.CodecOptions(document_class=RawBSONDocument)).find_one({"_id": bad})
    assert before is not None
    assert after is not None
    assert after.raw == before.raw


async def test_what_is_in_a_malformed_document_isnt_in_the_message(
    store: MongoStore, rows: Collection[Any], key: str, soon: int
) -> None:
    rows.insert_one(malformed(key, soon, {"data": "canary"}))
    with pytest.raises(CorruptRecord) as failure:
        await store.load(key)
    assert "canary" not in str(failure.value)
    assert key not in str(failure.value)


async def test_any_kind_of_binary_is_data(store: MongoStore, rows: Collection[Any], key: str, soon: int) -> None:
    """Other drivers have other subtypes. The record in it says whether it is a session's."""
    rows.insert_one(malformed(key, soon, {"data": Binary(b"theirs", 128)}))
    row = await store.load(key)
    assert row == Stored(b"theirs", VERSION, soon)
    assert type(row.data) is bytes
    assert await store.replace(key, b"mine", soon, VERSION)


async def test_a_malformed_document_that_has_expired_is_absent(
    store: MongoStore, rows: Collection[Any], clock: FakeClock, key: str, soon: int
) -> None:
    rows.insert_one(malformed(key, soon, {"data": "text", "version": Int64(1)}))
    clock.advance(HOUR)
    assert await store.load(key) is None
    assert await store.create(key, b"mine", soon + HOUR)


async def test_collecting_passes_over_what_isnt_a_sessions(
    store: MongoStore, rows: Collection[Any], clock: FakeClock, soon: int
) -> None:
    old = datetime.fromtimestamp(soon - 60, UTC)  # by the store's clock, not yet by the server's
    foreign = [not_text({"_id": f"????{number:03}", "expires_at": old}) for number in range(150)]
    rows.insert_many([*foreign, *({"_id": number, "expires_at": old} for number in range(150))])
    for _ in range(3):
        await store.create(key_of(new_id()), b"expired", soon)
    clock.advance(HOUR)
    assert await store.delete_expired(limit=10) == 3
    assert rows.count_documents({}) == 300


async def test_listing_passes_over_ids_that_arent_text(store: MongoStore, rows: Collection[Any], soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(3)]
    for key in keys:
        await store.create(key, b"data", soon)
    rows.insert_many([not_text({"_id": f"a????{number:04}"}) for number in range(2500)])
    rows.insert_many([not_text({"_id": f"????{number:04}"}) for number in range(1000)])
    assert [key async for key in store.all_keys()] == sorted(keys)
