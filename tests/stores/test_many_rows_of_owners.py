"""Ten thousand sessions of one owner among others: listed at once, and removed in batches within the deadlines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import DatabaseStore, MemoryStore, MongoStore, SQLiteStore
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.base import SupportsOwners
from starlette_sessions_ext.testing import FakeClock

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.mariadb_server import MariaDBServer, empty
from ..support.mongo_server import MongoServer
from .handlersocket.stores import make_store

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

MANY = 10_000
ANN, BOB = "a" * 32, "b" * 32


@pytest.fixture(params=["memory", "sqlite", "mysql", "mongo", "handlersocket"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SupportsOwners]:
    """With the same deadline for the removal as for any other operation."""
    made: Any
    if request.param == "memory":
        made = MemoryStore(clock=clock)
    elif request.param == "sqlite":
        made = SQLiteStore(tmp_path / "sessions.db", clock=clock)
    elif request.param == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo_server")
        made = MongoStore(mongo.url, collection="many", clock=clock)
    else:
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        empty(mariadb.url("fresh"), "session_data" if request.param == "mysql" else "php_session")
        made = (
            DatabaseStore(mariadb.url("fresh"), clock=clock)
            if request.param == "mysql"
            else make_store(mariadb, clock=clock)
        )
    async with made as store:
        yield store


async def test_ten_thousand_sessions_of_one_owner(store: SupportsOwners, soon: int) -> None:
    keys, kept, theirs = [key_of(new_id()) for _ in range(MANY)], key_of(new_id()), key_of(new_id())
    await store.create(kept, b"data", soon, ANN)
    await store.create(theirs, b"data", soon, BOB)
    for first in range(0, MANY, 50):
        async with anyio.create_task_group() as group:
            for key in keys[first : first + 50]:
                group.start_soon(store.create, key, b"data", soon, ANN)
    assert {*await store.keys_of(ANN)} == {*keys, kept}
    loads: list[bool] = []

    async def keep_loading() -> None:
        while True:
            loads.append(await store.load(theirs) is not None)
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        group.start_soon(keep_loading)
        assert await store.delete_all_of(ANN, keep=kept) == MANY
        group.cancel_scope.cancel()
    assert all(loads), "others are served while it runs"
    assert await store.keys_of(ANN) == [kept]
    assert await store.keys_of(BOB) == [theirs]
