"""Owners in MongoDB: documents of an earlier version, and what an application or PHP wrote there."""

from __future__ import annotations

from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo import AsyncMongoClient, MongoClient
from pymongo.collection import Collection

from starlette_sessions_ext import MongoStore
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock

from ...support.mongo_server import MongoServer
from .clients import Sent, client_of, load

pytestmark = pytest.mark.anyio

ANN = "a" * 32


async def test_documents_of_an_earlier_version_have_no_owner_until_they_are_written(
    store: MongoStore, rows: Collection[Any], key: str, soon: int
) -> None:
    times = dict.fromkeys(("expires_at", "created_at", "modified"), DatetimeMS(soon * 1000))
    rows.insert_one({"_id": key, "data": b"old", "version": 1, **times})
    row = await load(store, key)
    assert row.data == b"old"
    assert await store.owner_of(key) is None
    assert await store.replace(key, b"new", soon, row.version, ANN)
    assert await store.keys_of(ANN) == [key]
    # As version 0.1 does it, which may run at the same time.
    rows.update_one({"_id": key, "version": 2}, {"$set": {"data": b"theirs", **times}, "$inc": {"version": 1}})
    assert (await load(store, key)).data == b"theirs"
    assert await store.keys_of(ANN) == [key], "it doesn't know the field, and leaves it alone"


async def test_a_session_without_an_owner_has_no_such_field(
    store: MongoStore, rows: Collection[Any], key: str, soon: int
) -> None:
    """So it takes no room in the index."""
    fields = {"_id", "data", "version", "expires_at", "created_at", "modified"}

    def found() -> set[str]:
        return set(rows.find_one({"_id": key}) or {})

    await store.create(key, b"one", soon)
    assert found() == fields
    await store.replace(key, b"two", soon, (await load(store, key)).version, ANN)
    assert found() == {*fields, "owner"}
    await store.replace(key, b"three", soon, (await load(store, key)).version)
    assert found() == fields


@pytest.mark.parametrize("owner", [7, None, [ANN], {"$eq": ANN}, ANN.encode(), "ann"])
async def test_what_another_program_wrote_as_an_owner_is_none(
    store: MongoStore, rows: Collection[Any], key: str, soon: int, owner: Any
) -> None:
    await store.create(key, b"data", soon, ANN)
    rows.update_one({"_id": key}, {"$set": {"owner": owner}})
    assert await store.owner_of(key) is None
    assert await store.keys_of(ANN) == []
    assert await store.delete_all_of(ANN) == 0
    assert (await load(store, key)).data == b"data"


async def test_documents_that_are_no_sessions_are_not_listed(
    store: MongoStore, rows: Collection[Any], key: str, soon: int
) -> None:
    session = {"data": b"data", "version": 1, "expires_at": DatetimeMS(soon * 1000), "owner": ANN}
    await store.create(key, b"data", soon, ANN)
    for foreign in ({"_id": 7}, {"_id": "PHP"}, {"_id": key_of(new_id()), "data": "text"}):
        rows.insert_one({**session, **foreign})
    assert await store.keys_of(ANN) == [key]
    assert await store.delete_all_of(ANN) == 1
    assert rows.count_documents({}) == 3


async def test_owners_are_found_by_their_index_and_their_documents_by_key(
    mongo_server: MongoServer, rows: Collection[Any], control: MongoClient[Any], clock: FakeClock, soon: int
) -> None:
    """As the server says of what the store really sends, with many other sessions."""
    sent = Sent()
    async with client_of(AsyncMongoClient, mongo_server.url, event_listeners=[sent]) as client:
        async with MongoStore(client.session.session_data, clock=clock) as store:
            for number in range(300):
                await store.create(key_of(new_id()), b"data", soon, ANN if number < 3 else "b" * 32)
            sent.commands.clear()
            assert await store.delete_all_of(ANN) == 3
    find, delete = (next(one for one in sent.commands if name in one) for name in ("find", "delete"))
    for command, index, examined in (
        ({name: find[name] for name in ("find", "filter", "projection")}, "owner_1", 0),
        ({name: delete[name] for name in ("delete", "deletes")}, "_id_", 3),
    ):
        plan = control.session.command({"explain": command, "verbosity": "executionStats"})
        assert f"'indexName': '{index}'" in str(plan["queryPlanner"]["winningPlan"])
        assert plan["executionStats"]["totalKeysExamined"] <= examined + 4


@pytest.mark.parametrize("expires_at", [None, "tomorrow", 2**40, [DatetimeMS(2**42)]])
async def test_a_document_without_an_expiry_is_not_listed(
    store: MongoStore, rows: Collection[Any], key: str, soon: int, expires_at: Any
) -> None:
    await store.create(key, b"data", soon, ANN)
    rows.update_one({"_id": key}, {"$set": {"expires_at": expires_at}})
    assert await store.keys_of(ANN) == []
