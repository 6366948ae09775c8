"""Collecting expired sessions next to living ones, while requests go on. scripts/bench measures what those wait."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import DatabaseStore, MongoStore, PostgreSQLStore, SessionStore, SQLiteStore, store_from_url
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores._support import cleanup
from starlette_sessions_ext.stores._support.cleanup import delete_in_batches
from starlette_sessions_ext.testing import FakeClock

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import MongoServer
from ..support.postgresql_server import PostgreSQLServer

pytestmark = pytest.mark.anyio

COUNT = 2000
LARGEST_STEP = 100
"""Rows: about as much work as a few ordinary writes."""
HANG = 60.0
"""Seconds after which nothing will come any more."""


@pytest.fixture(params=["sqlite", "mysql", "postgresql", "mongo", "handlersocket"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SessionStore]:
    made: SessionStore
    if request.param == "mysql":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        mariadb.run("CREATE DATABASE IF NOT EXISTS large")
        mariadb.run("CREATE OR REPLACE TABLE session_data LIKE fresh.session_data", "large")
        made = DatabaseStore(mariadb.url("large"), clock=clock, timeout=30)
    elif request.param == "handlersocket":
        server: MariaDBServer = request.getfixturevalue("mariadb")
        server.run("CREATE DATABASE IF NOT EXISTS large")
        server.run("CREATE OR REPLACE TABLE php_session LIKE fresh.php_session", "large")
        made = store_from_url(server.handlersocket_url("large"), clock=clock, timeout=30)
    elif request.param == "postgresql":
        postgresql: PostgreSQLServer = request.getfixturevalue("postgresql")
        postgresql.run("CREATE SCHEMA IF NOT EXISTS large; DROP TABLE IF EXISTS large.sessions")
        postgresql.run("CREATE TABLE large.sessions (LIKE sessions INCLUDING ALL)")
        made = PostgreSQLStore(postgresql.url(), schema="large", clock=clock, timeout=30)
    elif request.param == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo_server")
        made = MongoStore(f"{mongo.url}/large", clock=clock, timeout=30)
    else:
        made = SQLiteStore(tmp_path / "sessions.db", clock=clock, timeout=30)
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


async def use(store: SessionStore, key: str, expires_at: int) -> None:
    """Load and replace, as a request does."""
    row = await store.load(key)
    assert row is not None
    assert await store.replace(key, row.data + b"x", expires_at, row.version)


class Rests:
    """Takes the place of the time that cleanup sees: a step takes one second, and a rest lasts until `over`."""

    def __init__(self, over: Callable[[], Awaitable[object]]) -> None:
        self.seconds: list[float] = []
        self._over = over
        self._now = 0.0

    def current_time(self) -> float:
        self._now += 1
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self._over()


@pytest.mark.timeout(300)
async def test_requests_are_answered_between_the_steps_of_a_collection(
    store: SessionStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is short, and what it locks is free before the next one."""
    soon, late = int(clock()) + 60, int(clock()) + 7200
    expired, living = await fill(store, soon), await fill(store, late)
    clock.advance(60)
    steps: list[int] = []
    answered = 0
    remove = store._delete_batch  # type: ignore[attr-defined]

    async def noted(*arguments: Any) -> int:
        removed: int = await remove(*arguments)
        steps.append(removed)
        return removed

    async def until_one_more_is_answered() -> None:
        before = answered
        with anyio.fail_after(HANG):
            while answered == before:
                await anyio.sleep(0.001)

    async def request() -> None:
        nonlocal answered
        for key in itertools.cycle(living):
            await use(store, key, late)
            answered += 1

    rests = Rests(until_one_more_is_answered)
    monkeypatch.setattr(store, "_delete_batch", noted)
    monkeypatch.setattr(cleanup, "anyio", rests)
    async with anyio.create_task_group() as group:
        group.start_soon(request)
        assert await store.delete_expired(2 * COUNT) == COUNT
        group.cancel_scope.cancel()
    assert max(steps) <= LARGEST_STEP
    assert len(rests.seconds) == len(steps) - 1 >= COUNT // LARGEST_STEP, "one behind each step but the last"
    assert min(rests.seconds) >= 3, "seconds, where a step takes one"
    assert answered >= len(rests.seconds)
    for key in expired[:: COUNT // 20]:
        assert await store.load(key) is None
    for key in living[:: COUNT // 20]:
        assert await store.load(key) is not None


@pytest.mark.parametrize("rest", [3, 6])
async def test_collecting_rests_between_steps_for_a_multiple_of_what_they_took(
    monkeypatch: pytest.MonkeyPatch, rest: int
) -> None:
    left, now, sizes, rests = 250, 0.0, list[int](), list[float]()

    async def step(count: int) -> int:
        nonlocal left, now
        sizes.append(count)
        now += len(sizes)  # the second takes twice as long as the first
        removed, left = min(count, left), max(left - count, 0)
        return removed

    async def sleep(seconds: float) -> None:
        nonlocal now
        rests.append(seconds)
        now += seconds

    monkeypatch.setattr(cleanup, "anyio", SimpleNamespace(current_time=lambda: now, sleep=sleep))
    assert await delete_in_batches(step, 120, batch_size=50, pause_factor=rest) == 120
    assert rests == [rest, 2 * rest, 3 * rest]
    assert await delete_in_batches(step, 1000, batch_size=50) == 130
    assert sizes == [50, 50, 20, 50, 50, 50]
    assert rests[3:] == [3 * 4, 3 * 5]


async def test_collecting_goes_on_after_a_step_that_found_little_if_there_may_be_more() -> None:
    left = [5, 1, 0, 2, 0]

    async def step(count: int) -> int:
        return left.pop()

    assert await delete_in_batches(step, 100, batch_size=10, pause_factor=0, is_over=lambda: not left) == 8
