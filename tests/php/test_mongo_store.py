"""`PHPMongoStore`: the contract, and what is particular to the documents of the adapter Mongo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from starlette_sessions_ext import ConfigurationError, CorruptRecord, NotSerializable, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php.mongo import PHPMongoStore
from starlette_sessions_ext.stores.base import SessionStore, SupportsListing
from starlette_sessions_ext.testing import FakeClock
from starlette_sessions_ext.testing.contract.base import load
from starlette_sessions_ext.testing.contract.races import RacesContract

from ..support.asyncio_only import anyio_backend
from ..support.mongo_server import MongoServer
from ..support.servers import free_port
from .contract import PHPIds
from .hits import LIFETIME

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def rows(mongo_server: MongoServer) -> Any:
    with MongoClient[Any](mongo_server.url) as client:
        yield client.php_shared.session_data


@pytest.fixture
async def store(mongo_server: MongoServer, rows: Collection[Any], clock: FakeClock) -> AsyncIterator[PHPMongoStore]:
    rows.delete_many({})
    async with PHPMongoStore(f"{mongo_server.url}/php_shared", clock=clock) as store:
        yield store


class TestPHPMongoStore(PHPIds, RacesContract):
    @pytest.fixture
    async def store(
        self, mongo_server: MongoServer, rows: Collection[Any], clock: FakeClock
    ) -> AsyncIterator[PHPMongoStore]:
        rows.delete_many({})
        async with PHPMongoStore(f"{mongo_server.url}/php_shared", clock=clock) as store:
            yield store

    async def test_any_bytes_come_back(self, store: SessionStore, soon: int) -> None:
        for data in (b"", b"k|i:1;", "Zoë 🐘".encode(), b"\0\1\n\r'\"\\$"):
            key = key_of(new_id())
            assert await store.create(key, data, soon)
            assert (await load(store, key)).data == data


async def test_a_document_is_what_the_adapter_would_write(
    store: PHPMongoStore, rows: Collection[Any], key: str, soon: int, clock: FakeClock
) -> None:
    assert await store.create(key, b"k|i:1;", soon)
    now = datetime.fromtimestamp(int(clock()), UTC).replace(tzinfo=None)
    assert list(rows.find()) == [{"_id": key, "modified": now, "data": "k|i:1;"}]
    assert sorted(rows.index_information()) == ["_id_"]


async def test_equal_bytes_of_two_requests_are_two_writes(store: PHPMongoStore, key: str, soon: int) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:2;")


async def test_bytes_that_arent_text_are_refused(store: PHPMongoStore, key: str, soon: int) -> None:
    with pytest.raises(NotSerializable, match="UTF-8"):
        await store.create(key, b"\xff", soon)
    assert await store.create(key, b"", soon)
    with pytest.raises(NotSerializable, match="UTF-8"):
        await store.replace(key, b"\xff", soon, b"")
    assert not await store.replace(key, b"x", soon, b"\xff")


@pytest.mark.parametrize(
    "fields",
    [{"data": b"k|i:1;", "modified": datetime(2999, 1, 1)}, {"data": "k|i:1;"}, {"data": ["k|i:1;"], "modified": 1}],
    ids=["bytes", "of 2012", "foreign"],
)
async def test_what_isnt_the_adapters_is_left_as_it_is(
    store: PHPMongoStore, rows: Collection[Any], key: str, soon: int, fields: dict[str, Any]
) -> None:
    rows.insert_one({"_id": key, **fields})
    with pytest.raises(CorruptRecord, match="left as it is"):
        await store.load(key)
    assert not await store.create(key, b"", soon)
    assert not await store.replace(key, b"", soon, b"k|i:1;")
    assert not await store.touch(key, soon)
    assert not await store.delete(key)
    assert list(rows.find({}, {"_id": 0})) == [fields]


async def test_a_document_that_is_too_large_isnt_read(
    mongo_server: MongoServer, store: PHPMongoStore, key: str, soon: int, clock: FakeClock
) -> None:
    assert await store.create(key, b"x" * 101, soon)
    async with PHPMongoStore(f"{mongo_server.url}/php_shared", clock=clock, max_data_bytes=100) as small:
        with pytest.raises(CorruptRecord, match="max_data_bytes"):
            await small.load(key)


async def test_expired_documents_are_collected_and_others_listed(
    store: PHPMongoStore, rows: Collection[Any], soon: int, clock: FakeClock
) -> None:
    for number in range(150):
        assert await store.create(key_of(new_id()), b"", soon + number // 100 * LIFETIME)
    rows.insert_one({"_id": "short", "data": "", "modified": datetime(2999, 1, 1)})
    clock.advance(LIFETIME)
    assert await store.delete_expired() == 100
    assert isinstance(store, SupportsListing)
    assert len([key async for key in store.all_keys()]) == 50


async def test_a_server_that_is_down_is_unavailable(key: str) -> None:
    store = PHPMongoStore(f"mongodb://127.0.0.1:{free_port()}", timeout=0.5)
    with pytest.raises(StoreUnavailable):
        await store.open()
    await store.aclose()


@pytest.mark.parametrize(("option", "value"), [("lifetime", 0), ("timeout", 0), ("max_data_bytes", 0)])
def test_what_cant_work_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=option):
        PHPMongoStore("mongodb://127.0.0.1", **{option: value})
