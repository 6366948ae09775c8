"""Rows of the new or the old store that aren't a session's, and what MigratingStore is given."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from pymongo import MongoClient

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    MemoryStore,
    MigratingStore,
    MongoStore,
    SessionStore,
    SQLiteStore,
    Stored,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.mongo_server import MongoServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def mongo(mongo_server: MongoServer, clock: FakeClock) -> AsyncIterator[MongoStore]:
    with MongoClient[Any](mongo_server.url) as client:
        client.session.session_data.delete_many({})
    async with MongoStore(mongo_server.url, clock=clock) as store:
        yield store


@pytest.fixture
def corrupt(mongo_server: MongoServer, key: str, mongo: MongoStore) -> str:
    """A key under which MongoDB holds something else."""
    with MongoClient[Any](mongo_server.url) as client:
        client.session.session_data.insert_one({"_id": key, "data": "text"})
    return key


@pytest.fixture(params=["old", "new"])
async def store(
    request: pytest.FixtureRequest, mongo: MongoStore, clock: FakeClock, tmp_path: Path
) -> AsyncIterator[MigratingStore]:
    """With MongoDB as the one store or the other."""
    async with SQLiteStore(tmp_path / "sessions.db", clock=clock) as other:
        new, old = (mongo, other) if request.param == "new" else (other, mongo)
        yield MigratingStore(new, old)


async def test_a_corrupt_row_of_either_store_fails_alone(
    store: MigratingStore, mongo_server: MongoServer, corrupt: str, soon: int
) -> None:
    with pytest.raises(CorruptRecord):
        await store.load(corrupt)
    assert not await store.create(corrupt, b"mine", soon)
    assert not await store.replace(corrupt, b"mine", soon, 1)
    assert not await store.touch(corrupt, soon)
    assert not await store.delete(corrupt)
    assert not await store.delete(corrupt, 1)
    with MongoClient[Any](mongo_server.url) as client:
        assert client.session.session_data.find_one({"_id": corrupt}) == {"_id": corrupt, "data": "text"}
    other = key_of(new_id())
    assert await store.create(other, b"mine", soon)
    assert (await store.load(other) or b"")[0] == b"mine"


async def test_a_row_that_becomes_corrupt_while_it_moves_is_left_alone(
    mongo: MongoStore, mongo_server: MongoServer, clock: FakeClock, key: str, soon: int
) -> None:
    await mongo.create(key, b"data", soon)

    def put(data: object) -> None:
        with MongoClient[Any](mongo_server.url) as client:
            client.session.session_data.update_one({"_id": key}, {"$set": {"data": data}})

    class Spoiling(MemoryStore):
        """Between the claim and the copy."""

        async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
            made = await super().create(key, data, expires_at, owner)
            await anyio.to_thread.run_sync(put, "text")
            return made

    new = Spoiling(clock=clock)
    store = MigratingStore(new, mongo)
    for _ in range(2):
        with pytest.raises(CorruptRecord):
            await store.load(key)
    await anyio.to_thread.run_sync(put, b"data")
    row = await store.load(key)
    assert isinstance(row, Stored)
    assert row.data == b"data"


# What it is given


@pytest.mark.parametrize("bad", [None, 5, "sqlite:///sessions.db", {}, MemoryStore], ids=str)
def test_what_is_no_store_is_refused_by_name(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="new must be a store"):
        MigratingStore(bad, MemoryStore())
    with pytest.raises(ConfigurationError, match="old must be a store"):
        MigratingStore(MemoryStore(), bad)


def test_one_store_twice_is_refused() -> None:
    """It would remove from itself what it has moved."""
    one: SessionStore = MemoryStore()
    with pytest.raises(ConfigurationError, match="new and old are the same store"):
        MigratingStore(one, one)


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, "2", None])
def test_a_timeout_that_cant_work_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        MigratingStore(MemoryStore(), MemoryStore(), timeout=timeout)
