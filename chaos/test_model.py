"""One model, six stores, the same random steps; and stores that are wrong on purpose, each of which it finds.

SESSIONS_MODEL_EXAMPLES=10000 goes on for longer than the bounded run of every day.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Hashable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from starlette_sessions_ext import DatabaseStore, MemoryStore, MongoStore, PostgreSQLStore, SQLiteStore, store_from_url
from starlette_sessions_ext.testing import FakeClock
from tests.support.fixtures import HandlerSocketURLs

from .differential import Differential, Machine, RedisSubject, Subject
from .shared_scenarios import SharedScenarios

EXAMPLES = int(os.environ.get("SESSIONS_MODEL_EXAMPLES", "150"))
PATIENCE = 30
"""Seconds that a store may take: what it says is compared, and not how busy the machine is."""


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def play(
    kind: type[Machine], subjects: list[Subject], clock: FakeClock, runner: asyncio.Runner, **options: Any
) -> None:
    machine: Any = partial(kind, subjects, clock, runner)  # typed for classes, made for whatever makes a machine
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=20, **options))


def in_memory(clock: FakeClock) -> Subject:
    return Subject("memory", MemoryStore(clock=clock), collects_early=True)


@pytest.fixture
def subjects(
    clock: FakeClock,
    runner: asyncio.Runner,
    tmp_path: Path,
    redis_url: str,
    mysql_url: str,
    postgresql_url: str,
    mongo_url: str,
    handlersocket_urls: HandlerSocketURLs,
) -> Iterator[list[Subject]]:
    subjects = [
        in_memory(clock),
        Subject("sqlite", SQLiteStore(tmp_path / "sessions.db", timeout=PATIENCE, clock=clock)),
        RedisSubject("redis", redis_url, clock, timeout=PATIENCE),
        Subject("mysql", DatabaseStore(mysql_url, timeout=PATIENCE, clock=clock)),
        Subject("postgresql", PostgreSQLStore(postgresql_url, timeout=PATIENCE, clock=clock)),
        Subject("mongo", MongoStore(mongo_url, timeout=PATIENCE, clock=clock)),
        Subject("handlersocket", store_from_url(handlersocket_urls.store, timeout=PATIENCE, clock=clock)),
    ]
    for subject in subjects:
        runner.run(subject.store.open())
    yield subjects
    for subject in subjects:
        runner.run(subject.aclose())


@pytest.mark.slow
@pytest.mark.timeout(300 + EXAMPLES)
def test_no_store_differs_from_another(subjects: list[Subject], clock: FakeClock, runner: asyncio.Runner) -> None:
    play(Differential, subjects, clock, runner, max_examples=EXAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(300 + EXAMPLES)
def test_nobody_sees_by_its_sessions_which_store_a_site_has(
    subjects: list[Subject], clock: FakeClock, runner: asyncio.Runner
) -> None:
    play(SharedScenarios, subjects, clock, runner, max_examples=EXAMPLES)


# Stores that are wrong in one thing each


class TouchIsAWrite(MemoryStore):
    async def touch(self, key: str, expires_at: int) -> bool:
        row = await self.load(key)
        return row is not None and await self.replace(key, row.data, expires_at, row.version)


class ReplaceMakesRows(MemoryStore):
    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return await super().replace(key, data, expires_at, version, owner) or await self.create(
            key, data, expires_at, owner
        )


class ReplaceIsBlind(MemoryStore):
    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        row = await self.load(key)
        return row is not None and await super().replace(key, data, expires_at, row.version, owner)


class CreateTakesOver(MemoryStore):
    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        await self.delete(key)
        return await super().create(key, data, expires_at, owner)


class DeleteIsBlind(MemoryStore):
    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await super().delete(key)


class VersionsBeginAgain(MemoryStore):
    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        made = await super().create(key, data, expires_at, owner)
        if made:
            self._rows[key] = self._rows[key]._replace(version=0)
        return made


class LivesASecondLonger(MemoryStore):
    def __init__(self, *, clock: FakeClock) -> None:
        super().__init__(clock=lambda: clock() - 1)


class LosesTrailingSpaces(MemoryStore):
    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        return await super().create(key, data.rstrip(b" "), expires_at, owner)


class CollectsTheLiving(MemoryStore):
    async def delete_expired(self, limit: int = 1000) -> int:
        self._rows.clear()
        return 0


class NeverCollects(MemoryStore):
    async def delete_expired(self, limit: int = 1000) -> int:
        return 0


class TouchDoesNothing(MemoryStore):
    async def touch(self, key: str, expires_at: int) -> bool:
        return await self.load(key) is not None


class ReplaceDoesNothing(MemoryStore):
    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return await self.load(key) is not None


class DeleteDoesNothing(MemoryStore):
    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await self.load(key) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            TouchDoesNothing,
            TouchIsAWrite,
            ReplaceMakesRows,
            ReplaceIsBlind,
            CreateTakesOver,
            DeleteIsBlind,
            VersionsBeginAgain,
        ),
        *(LivesASecondLonger, LosesTrailingSpaces, CollectsTheLiving, NeverCollects),
    ],
)
def test_a_wrong_store_is_found(wrong: type[MemoryStore], clock: FakeClock, runner: asyncio.Runner) -> None:
    assert_found(Differential, wrong, clock, runner)


@pytest.mark.parametrize("wrong", [ReplaceDoesNothing, DeleteDoesNothing])
def test_people_notice_a_wrong_store(wrong: type[MemoryStore], clock: FakeClock, runner: asyncio.Runner) -> None:
    assert_found(SharedScenarios, wrong, clock, runner)


def assert_found(kind: type[Machine], wrong: type[MemoryStore], clock: FakeClock, runner: asyncio.Runner) -> None:
    subjects = [in_memory(clock), Subject("wrong", wrong(clock=clock))]
    always_the_same: dict[str, Any] = {"derandomize": True, "database": None, "phases": [Phase.generate]}
    with pytest.raises(AssertionError, match="wrong"):
        play(kind, subjects, clock, runner, max_examples=2000, **always_the_same)
