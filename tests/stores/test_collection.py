"""Collecting ten thousand expired sessions beside ten thousand live ones, while requests go on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import anyio
import pytest

from starlette_sessions_ext import DatabaseStore, MongoStore, SessionStore, SQLiteStore, store_from_url
from starlette_sessions_ext.ids import key_of, new_id
from starlette_sessions_ext.stores._collection import collect
from starlette_sessions_ext.testing import FakeClock

from ..mariadb_server import MariaDBServer
from ..mongo_server import MongoServer

pytestmark = pytest.mark.anyio

COUNT = 10_000
LONGEST_WAIT = 0.1
"""Seconds for one call; where the machine itself is slower, twenty times its usual call, or twice its slowest."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "mysql", "mongo", "handlersocket"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SessionStore]:
    made: SessionStore
    if request.param == "mysql":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        mariadb.run("CREATE DATABASE IF NOT EXISTS large")
        mariadb.run("CREATE OR REPLACE TABLE session_data LIKE fresh.session_data", "large")
        made = DatabaseStore(mariadb.url("large"), clock=clock, timeout=10)
    elif request.param == "handlersocket":
        server: MariaDBServer = request.getfixturevalue("mariadb")
        server.run("CREATE DATABASE IF NOT EXISTS large")
        server.run("CREATE OR REPLACE TABLE php_session LIKE fresh.php_session", "large")
        made = store_from_url(server.handlersocket_url("large"), clock=clock, timeout=10)
    elif request.param == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo_server")
        made = MongoStore(f"{mongo.url}/large", clock=clock, timeout=10)
    else:
        made = SQLiteStore(tmp_path / "sessions.db", clock=clock, timeout=10)
    async with made as store:
        yield store


async def fill(store: SessionStore, expires_at: int) -> list[str]:
    keys = [key_of(new_id()) for _ in range(COUNT)]

    async def create(some: list[str]) -> None:
        for key in some:
            assert await store.create(key, b"x" * 200, expires_at)

    async with anyio.create_task_group() as group:
        for start in range(50):
            group.start_soon(create, keys[start::50])
    return keys


async def use(store: SessionStore, key: str, expires_at: int) -> float:
    """Load and replace, as a request does; the seconds that the slower of the two took."""
    started = time.perf_counter()
    row = await store.load(key)
    loaded = time.perf_counter()
    assert row is not None
    assert await store.replace(key, row.data + b"x", expires_at, row.version)
    return max(loaded - started, time.perf_counter() - loaded)


@pytest.mark.timeout(120)
async def test_requests_hardly_notice_a_collection(store: SessionStore, clock: FakeClock) -> None:
    soon, late = int(clock()) + 60, int(clock()) + 7200
    expired, living = await fill(store, soon), await fill(store, late)
    clock.advance(60)
    before = [await use(store, key, late) for key in living[:500]]
    waits: list[float] = []
    removed = 0
    async with anyio.create_task_group() as group:

        async def request() -> None:
            for key in living[500:]:
                waits.append(await use(store, key, late))

        group.start_soon(request)
        while batch := await store.delete_expired():
            removed += batch
        group.cancel_scope.cancel()
    assert removed == COUNT
    assert waits, "no request came between"
    assert median(waits) < 3 * median(before)
    assert max(waits) < max(LONGEST_WAIT, 20 * median(before), 2 * max(before))
    for key in expired[::500]:
        assert await store.load(key) is None
    for key in living[::500]:
        assert await store.load(key) is not None


@pytest.mark.parametrize("rest", [3, 6])
async def test_collecting_rests_between_steps_for_a_multiple_of_what_they_took(rest: int) -> None:
    left, sizes, worked = 250, list[int](), 0.0

    async def step(count: int) -> int:
        nonlocal left, worked
        started = time.perf_counter()
        await anyio.sleep(0.01)
        sizes.append(count)
        removed, left = min(count, left), max(left - count, 0)
        worked += time.perf_counter() - started
        return removed

    started = time.perf_counter()
    assert await collect(step, 120, size=50, rest=rest) == 120
    assert time.perf_counter() - started > (rest + 0.9) * worked
    assert await collect(step, 1000, size=50) == 130
    assert sizes == [50, 50, 20, 50, 50, 50]
