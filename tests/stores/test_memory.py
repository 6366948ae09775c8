from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from starlette_sessions_ext import MemoryStore, StoreUnavailable
from starlette_sessions_ext.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock, StoreContract

pytestmark = pytest.mark.anyio


class TestMemoryStore(StoreContract):
    @pytest.fixture(params=[None, 5000])
    async def store(self, clock: FakeClock, request: pytest.FixtureRequest) -> AsyncIterator[MemoryStore]:
        async with MemoryStore(clock=clock, max_data_bytes=request.param) as store:
            yield store


async def fill(store: MemoryStore, count: int, data: bytes, expires_at: int) -> list[str]:
    keys = [key_of(new_id()) for _ in range(count)]
    for key in keys:
        assert await store.create(key, data, expires_at)
    return keys


async def test_a_full_store_forgets_nobody(clock: FakeClock) -> None:
    store = MemoryStore(max_entries=3, clock=clock)
    soon = int(clock()) + 60
    keys = await fill(store, 3, b"data", soon)
    with pytest.raises(StoreUnavailable, match="max_entries"):
        await store.create(key_of(new_id()), b"data", soon)
    for key in keys:
        assert await store.load(key) is not None
    await store.delete(keys[0])
    await fill(store, 1, b"data", soon)


async def test_bytes_are_counted_too(clock: FakeClock) -> None:
    store = MemoryStore(max_bytes=100, clock=clock)
    soon = int(clock()) + 60
    [key] = await fill(store, 1, b"x" * 60, soon)
    with pytest.raises(StoreUnavailable, match="max_bytes"):
        await store.create(key_of(new_id()), b"x" * 41, soon)
    row = await store.load(key)
    assert row is not None
    with pytest.raises(StoreUnavailable):
        await store.replace(key, b"x" * 101, soon, row.version)
    assert await store.load(key) == row
    assert await store.replace(key, b"x" * 100, soon, row.version)
    await store.delete(key)
    await fill(store, 1, b"x" * 100, soon)


async def test_short_sessions_reach_a_plateau(clock: FakeClock) -> None:
    """Expired rows make room as new ones come, without anybody collecting."""
    store = MemoryStore(max_entries=100, clock=clock)
    for _ in range(50):
        await fill(store, 100, b"data", int(clock()) + 60)
        clock.advance(60)
    assert len(store._rows) <= 100


async def test_sessions_that_end_early_leave_nothing_behind(clock: FakeClock) -> None:
    store = MemoryStore(clock=clock)
    for _ in range(1000):
        [key] = await fill(store, 1, b"data", int(clock()) + 60)
        await store.delete(key)
    assert len(store._queue) < 100
