from __future__ import annotations

import base64
import gc
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from bson.objectid import ObjectId
from pymongo import AsyncMongoClient, MongoClient
from pymongo.collection import Collection

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    MongoStore,
    SessionTooLarge,
    Stored,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock

from ...support.mongo_server import MongoServer
from .clients import DRIVERS, Sent, client_of, load, one_of_each, until

pytestmark = pytest.mark.anyio


# What is sent


@DRIVERS
async def test_every_operation_is_one_round_trip(
    mongo_server: MongoServer, control: MongoClient[Any], rows: Collection[Any], driver: Any, key: str, soon: int
) -> None:
    def counted() -> Counter[str]:
        counters = control.admin.command("serverStatus")["opcounters"]
        return Counter({name: counters[name] for name in ("insert", "query", "update", "delete", "getmore")})

    sent = Sent()
    async with client_of(driver, mongo_server.url, event_listeners=[sent]) as client:
        async with MongoStore(client.session.session_data) as store:
            sent.commands.clear()
            before = counted()
            await one_of_each(store, key, soon)
            assert sent.names() == ["insert", "find", "update", "update", "delete"]
            assert counted() - before == {"insert": 1, "query": 1, "update": 2, "delete": 1}


async def test_an_operator_for_a_key_is_never_sent(mongo_server: MongoServer, soon: int) -> None:
    sent = Sent()
    operator: Any = {"$ne": None}
    async with client_of(AsyncMongoClient, mongo_server.url, event_listeners=[sent]) as client:
        store = MongoStore(client.session.session_data)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: store.load(operator),
            lambda: store.create(operator, b"data", soon),
            lambda: store.replace(operator, b"data", soon, 1),
            lambda: store.touch(operator, soon),
            lambda: store.delete(operator),
            lambda: store.delete(operator, 1),
        ]
        for call in calls:
            with pytest.raises(TypeError):
                await call()
    assert sent.names() == []


# Expiry


async def test_the_server_removes_what_expired(
    mongo_server: MongoServer, rows: Collection[Any], key: str, soon: int
) -> None:
    living = key_of(new_id())
    async with MongoStore(mongo_server.url) as store:
        await store.create(key, b"data", soon)
        await store.create(living, b"data", soon)
        await store.touch(key, int(time.time()) - 1)
        await until(lambda: rows.count_documents({}) == 1)
        assert await store.load(living) is not None


@pytest.mark.parametrize("other", [{}, {"expireAfterSeconds": 3600}], ids=["plain", "an hour late"])
async def test_another_index_is_told_with_what_drops_it(
    mongo_server: MongoServer, control: MongoClient[Any], clock: FakeClock, key: str, soon: int, other: Any
) -> None:
    rows = control.session.indexed
    rows.drop()
    rows.create_index("expires_at", **other)
    store = MongoStore(mongo_server.url, collection="indexed", clock=clock)
    with pytest.raises(ConfigurationError, match=r"session\.indexed has another index on expires_at") as refusal:
        await store.open()
    collection = 'db.getSiblingDB("session").getCollection("indexed")'
    index = "createIndex({expires_at: 1}, {expireAfterSeconds: 0})"
    assert str(refusal.value).endswith(f"{collection}.dropIndex({{expires_at: 1}}); {collection}.{index}")
    await one_of_each(store, key, soon)
    rows.drop_index([("expires_at", 1)])
    await store.open()
    assert rows.index_information()["expires_at_1"]["expireAfterSeconds"] == 0
    await store.aclose()


async def test_a_limit_of_nothing_collects_nothing(store: MongoStore, key: str, clock: FakeClock, soon: int) -> None:
    await store.create(key, b"data", soon)
    clock.advance(3600)
    assert await store.delete_expired(0) == 0
    assert await store.delete_expired(1) == 1


# Settings


@DRIVERS
async def test_a_given_client_stays_open(mongo_server: MongoServer, driver: Any, key: str) -> None:
    async with client_of(driver, mongo_server.url) as client:
        async with MongoStore(client.session.session_data) as store:
            await store.load(key)
        assert (await client.admin.command("ping"))["ok"] == 1
        assert await store.load(key) is None


async def test_a_blocking_client_is_refused(rows: Any) -> None:
    with pytest.raises(ConfigurationError, match="a MongoClient blocks the event loop"):
        MongoStore(rows)


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:27017", "redis://user:canary@host", "mongodb://", "mongodb://user:canary@host:port"),
        *("mongodb://user:can@ary@host", "mongodb://user:canary%@host", "mongodb://user:canary@host/data base"),
        "mongodb+srv://user:canary@host.example.com:27017",
    ],
)
async def test_a_bad_url_is_explained_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="mongodb://user:password@host:27017/database") as refusal:
        MongoStore(url)
    assert not any(part in str(refusal.value) for part in ("canary", "can@ary", "ary@"))
    assert refusal.value.__suppress_context__


async def test_a_collection_has_a_possible_name() -> None:
    with pytest.raises(ConfigurationError, match="session_data"):
        MongoStore("mongodb://host", collection="a..b")


async def test_the_database_and_the_collection_are_as_named(
    mongo_server: MongoServer, control: MongoClient[Any], key: str, soon: int
) -> None:
    async with MongoStore(f"{mongo_server.url}/other", collection="mine") as store:
        await store.create(key, b"data", soon)
    assert control.other.mine.find_one({"_id": key}, {"data": 1}) == {"_id": key, "data": b"data"}


async def test_data_as_large_as_a_document(mongo_server: MongoServer, rows: Any, key: str, soon: int) -> None:
    with pytest.raises(ConfigurationError, match="16000000"):
        MongoStore(mongo_server.url, max_data_bytes=16_000_001)
    async with MongoStore(mongo_server.url, max_data_bytes=None, timeout=30) as store:
        assert store.max_data_bytes == 16_000_000
        for data in (b"x" * 16_000_000, b"y" * 16_000_000):
            row = await store.load(key)
            written = store.replace(key, data, soon, row.version) if row else store.create(key, data, soon)
            assert await written
            assert (await load(store, key)).data == data
        with pytest.raises(SessionTooLarge):
            await store.create(key_of(new_id()), b"x" * 16_000_001, soon)


# Other documents


async def test_what_php_wrote_is_left_alone(
    store: MongoStore, rows: Collection[Any], key: str, clock: FakeClock, soon: int
) -> None:
    modified = datetime(2020, 1, 1, tzinfo=UTC)
    taken = key_of(new_id())
    foreign = [{"_id": name, "modified": modified, "data": "string"} for name in ("php id", taken, 7, ObjectId())]
    rows.insert_many(foreign)
    before = list(rows.find().sort("_id", 1))
    await store.create(key, b"data", soon)
    with pytest.raises(CorruptRecord):
        await store.load(taken)
    assert not await store.create(taken, b"data", soon)
    assert not await store.replace(taken, b"data", soon, 1)
    assert not await store.touch(taken, soon)
    assert not await store.delete(taken)
    clock.advance(7200)
    assert await store.delete_expired() == 1
    assert list(rows.find().sort("_id", 1)) == before


async def test_all_keys_are_ours(store: MongoStore, rows: Collection[Any]) -> None:
    """Read a thousand at a time."""
    keys = sorted(key_of(new_id()) for _ in range(2001))
    rows.insert_many([{"_id": name} for name in [*keys, "php id", "a" * 31, 7, ObjectId()]])
    assert [key async for key in store.all_keys()] == keys
    rows.delete_many({})
    assert [key async for key in store.all_keys()] == []


# Event loops


@pytest.mark.parametrize("closing", [True, False], ids=["closed", "left open"])
@pytest.mark.filterwarnings("ignore:[Uu]nclosed :ResourceWarning")  # nobody can close a client whose loop is gone
def test_every_event_loop_gets_a_client_of_its_own(
    mongo_server: MongoServer, rows: Collection[Any], key: str, soon: int, closing: bool
) -> None:
    store = MongoStore(mongo_server.url)

    async def write_and_read(data: bytes) -> Stored:
        if row := await store.load(key):
            assert await store.replace(key, data, soon, row.version)
        else:
            assert await store.create(key, data, soon)
        row = await load(store, key)
        if closing:
            await store.aclose()
        return row

    for data in (b"one", b"two", b"three"):
        assert anyio.run(write_and_read, data).data == data
    anyio.run(store.aclose)
    gc.collect()


# The driver's own log


@pytest.mark.parametrize("length", [1, 1000], ids=["short", "long"])
@DRIVERS
async def test_the_drivers_log_holds_no_session(
    mongo_server: MongoServer,
    rows: Collection[Any],
    caplog: pytest.LogCaptureFixture,
    driver: Any,
    clock: FakeClock,
    key: str,
    soon: int,
    length: int,
) -> None:
    data = b"canary" * length
    caplog.set_level(logging.DEBUG, "pymongo")
    async with client_of(driver, mongo_server.url) as client:
        async with MongoStore(client.session.session_data, clock=clock) as store:
            assert await store.create(key, data, soon)
            assert not await store.create(key, b"another canary", soon)
            assert await store.replace(key, data + data, soon, (await load(store, key)).version)
            assert await store.touch(key, soon + 60)
            assert [name async for name in store.all_keys()] == [key]
            assert await store.delete(key)
        await client.session.other.find_one({"_id": "somebody else's"})
    assert "somebody else's" in caplog.text
    for secret in (key, "canary", base64.b64encode(b"canary").decode()):
        assert secret not in caplog.text


async def test_the_drivers_log_holds_no_refused_session(
    mongo_server: MongoServer, validated: str, caplog: pytest.LogCaptureFixture, key: str, soon: int
) -> None:
    caplog.set_level(logging.DEBUG, "pymongo")
    async with MongoStore(mongo_server.url, collection=validated) as store:
        with pytest.raises(StoreUnavailable):
            await store.create(key, b"canary", soon)
    for secret in (key, base64.b64encode(b"canary").decode()):
        assert secret not in caplog.text
