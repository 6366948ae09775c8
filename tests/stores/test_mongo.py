from __future__ import annotations

import base64
import gc
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.to_thread
import pytest
from bson.objectid import ObjectId
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.collection import Collection
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from starlette_sessions_ext import (
    ConfigurationError,
    MongoStore,
    SessionStore,
    SessionTooLarge,
    Stored,
    StoreUnavailable,
)
from starlette_sessions_ext.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract

from ..mongo_server import MongoServer

# A call that is cancelled while pymongo connects leaves its socket to the garbage collector. `collected` has it
# found while this filter holds, not in another module's test.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module", params=[ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def control(mongo_server: MongoServer) -> Iterator[MongoClient[Any]]:
    """A client of the tests' own."""
    with MongoClient[Any](mongo_server.url) as client:
        yield client


@pytest.fixture
def rows(control: MongoClient[Any]) -> Collection[Any]:
    """The documents, of which there are none yet."""
    control.session.session_data.delete_many({})
    return control.session.session_data


@pytest.fixture
def collected(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "cancelled" in request.node.name:
        gc.collect()


@asynccontextmanager
async def client_of(driver: Any, url: str, **options: Any) -> AsyncIterator[Any]:
    """A client of `AsyncMongoClient` or motor."""
    client = driver(url, **options)
    try:
        yield client
    finally:
        if driver is AsyncMongoClient:
            await client.close()
        else:  # motor's waits for its threads, and they for a proxy on this loop
            await anyio.to_thread.run_sync(client.close)


def through(proxy: FaultProxy) -> str:
    """With heartbeats that are asked for: one that the server sends by itself could be taken for a reply."""
    return f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true&serverMonitoringMode=poll"


class TestURL(NetworkStoreContract):
    @asynccontextmanager
    async def given(self, url: str) -> AsyncIterator[Any]:
        """What the store is made from."""
        yield url

    @pytest.fixture
    async def store(
        self, mongo_server: MongoServer, rows: Collection[Any], clock: FakeClock, collected: None
    ) -> AsyncIterator[MongoStore]:
        async with self.given(mongo_server.url) as given, MongoStore(given, clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, mongo_server: MongoServer, rows: Collection[Any]) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", mongo_server.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(self, proxy: FaultProxy, clock: FakeClock) -> AsyncIterator[MongoStore]:
        async with self.given(through(proxy)) as given:
            async with MongoStore(given, timeout=self.timeout, clock=clock) as store:
                yield store
                proxy.silent = False
                proxy.reset()  # a client says goodbye, and waits for an answer


class TestGivenCollection(TestURL):
    @asynccontextmanager
    async def given(self, url: str) -> AsyncIterator[Any]:
        async with client_of(AsyncMongoClient, url) as client:
            yield client.session.session_data


class TestGivenCollectionOfMotor(TestURL):
    @asynccontextmanager
    async def given(self, url: str) -> AsyncIterator[Any]:
        async with client_of(AsyncIOMotorClient, url) as client:
            yield client.session.session_data


@pytest.fixture
async def store(mongo_server: MongoServer, rows: Collection[Any], clock: FakeClock) -> AsyncIterator[MongoStore]:
    async with MongoStore(mongo_server.url, clock=clock) as store:
        yield store


DRIVERS = pytest.mark.parametrize("driver", [AsyncMongoClient, AsyncIOMotorClient], ids=["pymongo", "motor"])


async def load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


async def until(done: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not done():
            await anyio.sleep(0.02)


class Sent(CommandListener):
    """The commands that a client sent."""

    def __init__(self) -> None:
        self.commands: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.commands]


async def one_of_each(store: SessionStore, key: str, soon: int) -> None:
    assert await store.create(key, b"one", soon)
    version = (await load(store, key)).version
    assert await store.replace(key, b"two", soon, version)
    assert await store.touch(key, soon + 60)
    assert await store.delete(key)


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
    assert str(refusal.value).endswith('db.getCollection("indexed").dropIndex({expires_at: 1})')
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
    assert await store.load(taken) is None
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


@pytest.fixture
def validated(control: MongoClient[Any]) -> str:
    """A collection that refuses every document."""
    control.session.drop_collection("validated")
    control.session.create_collection("validated", validator={"never": {"$exists": True}})
    return "validated"


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
