"""MemoryStore: the contract, and requirement L3."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import ConfigurationError, MemoryStore, SessionStore, StoreFull
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.base import SupportsOwners
from starlette_sessions_ext.testing import FakeClock, StoreContract

from ...support.client import Browser, make_app
from ...support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio


class TestMemoryStore(StoreContract):
    @pytest.fixture(params=[None, 5000])
    async def store(self, clock: FakeClock, request: pytest.FixtureRequest) -> AsyncIterator[MemoryStore]:
        async with MemoryStore(clock=clock, max_data_bytes=request.param) as store:
            yield store


class TestStoreWithoutOwners(StoreContract):
    """A store of the first contract, which an application may have written, passes as before."""

    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[CountingStore]:
        async with CountingStore(MemoryStore(clock=clock)) as store:
            yield store

    async def test_it_has_no_owners(self, store: SessionStore) -> None:
        assert not isinstance(store, SupportsOwners)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("max_entries", value) for value in (0, -1, 1.5, True, "9", None)),
        *(("max_bytes", value) for value in (0, -1, 1e9, True, "9", None)),
        *(("max_data_bytes", value) for value in (0, -1, 1e9, True, "9")),
        *(("clock", value) for value in (5, None, "time")),
    ],
)
def test_options_that_cant_work_are_named(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option} must be "):
        MemoryStore(**{option: value})


async def fill(store: MemoryStore, count: int, data: bytes, expires_at: int) -> list[str]:
    keys = [key_of(new_id()) for _ in range(count)]
    for key in keys:
        assert await store.create(key, data, expires_at)
    return keys


async def test_L3_a_full_store_forgets_nobody(clock: FakeClock) -> None:
    store = MemoryStore(max_entries=3, clock=clock)
    soon = int(clock()) + 60
    keys = await fill(store, 3, b"data", soon)
    with pytest.raises(StoreFull, match="max_entries"):
        await store.create(key_of(new_id()), b"data", soon)
    for key in keys:
        assert await store.load(key) is not None
    await store.delete(keys[0])
    await fill(store, 1, b"data", soon)


async def test_L3_bytes_are_counted_too(clock: FakeClock) -> None:
    store = MemoryStore(max_bytes=100, clock=clock)
    soon = int(clock()) + 60
    [key] = await fill(store, 1, b"x" * 60, soon)
    with pytest.raises(StoreFull, match="max_bytes"):
        await store.create(key_of(new_id()), b"x" * 41, soon)
    row = await store.load(key)
    assert row is not None
    with pytest.raises(StoreFull):
        await store.replace(key, b"x" * 101, soon, row.version)
    assert await store.load(key) == row
    assert await store.replace(key, b"x" * 100, soon, row.version)
    await store.delete(key)
    await fill(store, 1, b"x" * 100, soon)


async def test_L3_all_that_has_expired_makes_room_for_one_that_needs_it(clock: FakeClock) -> None:
    store = MemoryStore(max_bytes=100, clock=clock)
    await fill(store, 20, b"x" * 5, int(clock()) + 60)
    clock.advance(60)
    await fill(store, 1, b"x" * 100, int(clock()) + 60)
    assert (len(store._rows), store._bytes) == (1, 100)


async def test_a_row_that_expires_while_room_is_made_for_it_is_gone() -> None:
    seconds = itertools.count()
    store = MemoryStore(max_bytes=4, clock=lambda: next(seconds))  # every look at it takes a second
    [key] = await fill(store, 1, b"data", 3)
    row = await store.load(key)
    assert row is not None
    assert not await store.replace(key, b"later", 60, row.version)
    assert (next(seconds), len(store._rows), store._bytes) == (4, 0, 0)


A_MILLION = """
import anyio

from starlette_sessions_ext import MemoryStore
from starlette_sessions_ext.testing import FakeClock

async def main():
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    letters = str.maketrans("0123456789", "abcdefghij")
    sizes = []
    for minute in range(1000):
        soon = int(clock()) + 60
        for number in range(1000):
            key = f"{minute * 1000 + number:032d}".translate(letters)
            assert await store.create(key, b"data", soon)
            if number % 10 == 0:
                await store.delete(key)
            elif number % 10 == 1:
                await store.touch(key, soon + 60)
        clock.advance(60)
        sizes.append((len(store._rows), len(store._queue), store._bytes))
    print(*map(max, zip(*sizes[:10])))
    print(*map(max, zip(*sizes)))

anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_L3_a_million_short_sessions_reach_a_plateau() -> None:
    """A thousand come every minute, each for a minute; some end early, some are used a little longer.

    In another process, where coverage isn't measured.
    """
    done = subprocess.run([sys.executable, "-c", A_MILLION], capture_output=True, text=True, check=True)
    first, all_together = ([int(number) for number in line.split()] for line in done.stdout.splitlines())
    assert first == all_together, "it grows after the first ten minutes"
    rows, queued, size = all_together
    assert rows < 2500
    assert queued <= 2 * rows + 64
    assert size == 4 * rows


@pytest.mark.slow
async def test_L3_memory_itself_stops_growing(clock: FakeClock) -> None:
    store = MemoryStore(clock=clock)

    async def pass_by(count: int) -> int:
        for number in range(count):
            await store.create(key_of(new_id()), b"%0200d" % number, int(clock()) + 60)
            clock.advance(0.5)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first, second = await pass_by(2000), await pass_by(6000)
    finally:
        tracemalloc.stop()
    assert second < 2 * first


async def test_L3_sessions_that_end_early_leave_nothing_behind(clock: FakeClock) -> None:
    store = MemoryStore(clock=clock)
    for _ in range(1000):
        [key] = await fill(store, 1, b"data", int(clock()) + 60)
        await store.delete(key)
    assert len(store._queue) < 100


async def test_L3_sessions_that_are_cut_short_make_room_when_they_have_ended(clock: FakeClock) -> None:
    store = MemoryStore(max_entries=200, clock=clock)
    now = int(clock())
    touched, replaced = await fill(store, 100, b"data", now + 3600), await fill(store, 100, b"data", now + 3600)
    for earlier in (now + 120, now + 60):
        for key in touched:
            assert await store.touch(key, earlier)
        for key in replaced:
            row = await store.load(key)
            assert row is not None
            assert await store.replace(key, b"new", earlier, row.version)
    assert len(store._queue) < 600, "however often they are cut"
    clock.advance(60)
    await fill(store, 200, b"data", now + 3600)


async def test_L3_a_row_that_grows_takes_the_room_of_what_has_expired(clock: FakeClock) -> None:
    store = MemoryStore(max_bytes=20, clock=clock)
    now = int(clock())
    await fill(store, 1, b"0123456789", now + 60)
    [key] = await fill(store, 1, b"0123456789", now + 3600)
    clock.advance(60)
    row = await store.load(key)
    assert row is not None
    assert await store.replace(key, b"01234567890123456789", now + 3600, row.version)
    assert len(store._rows) == 1


async def test_L3_two_requests_never_share_what_they_loaded(clock: FakeClock) -> None:
    sessions: list[dict[str, Any]] = []

    async def fill(request: Request) -> None:
        request.session["cart"] = ["tea"]

    async def keep(request: Request) -> None:
        sessions.append(request.session)

    browser = Browser(make_app(MemoryStore(clock=clock), {"/fill": fill, "/keep": keep}, clock=clock))
    for path in ("/fill", "/keep", "/keep"):
        await browser.get(path)
    one, other = sessions
    one["cart"].append("milk")
    assert other == {"cart": ["tea"]}
    await browser.get("/keep")
    assert sessions[-1] == {"cart": ["tea"]}
