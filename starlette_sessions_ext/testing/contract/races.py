"""Time and parallel calls: expiry, calls that come between, and cancellation."""

from __future__ import annotations

import anyio
import pytest

from ..._core.ids import key_of, new_id
from ...stores.base import SessionStore
from ..clock import FakeClock
from .base import (
    HOUR,
    TICKS,
    Fixtures,
    calling,
    cancelled,
    collect,
    let_pass,
    load,
    together,
)


class RacesContract(Fixtures):
    """The tests of expiry and of parallel calls.

    Expiry is exact, and of parallel calls each takes place at one moment or not at all.
    """

    # Expiry

    async def test_a_row_is_absent_from_the_second_it_expires(
        self, store: SessionStore, key: str, clock: FakeClock, soon: int
    ) -> None:
        await store.create(key, b"data", soon)
        version = (await load(store, key)).version
        await self.advance(store, clock, HOUR - 60)
        assert (await load(store, key)).expires_at == soon
        await self.advance(store, clock, 60)
        assert await store.load(key) is None
        assert not await store.replace(key, b"late", soon + HOUR, version)
        assert not await store.touch(key, soon + HOUR)
        assert not await store.delete(key)
        assert await store.load(key) is None

    async def test_an_expired_key_can_be_made_again(
        self, store: SessionStore, key: str, clock: FakeClock, soon: int
    ) -> None:
        await store.create(key, b"old", soon)
        old = (await load(store, key)).version
        await self.advance(store, clock, HOUR)
        assert await store.create(key, b"new", soon + HOUR)
        assert not await store.replace(key, b"back", soon + HOUR, old)
        assert (await load(store, key)).data == b"new"

    async def test_a_time_that_has_come_makes_a_row_absent(
        self, store: SessionStore, key: str, clock: FakeClock, soon: int
    ) -> None:
        past = int(clock()) - 1
        assert await store.create(key, b"stillborn", past)
        assert await store.load(key) is None
        assert await store.create(key, b"data", soon)
        assert not await store.create(key, b"taken", past)
        version = (await load(store, key)).version
        assert await store.replace(key, b"ended", int(clock()), version)
        assert await store.load(key) is None
        assert await store.create(key, b"data", soon)
        assert await store.touch(key, past)
        assert await store.load(key) is None

    async def test_delete_expired_spares_the_living(self, store: SessionStore, clock: FakeClock, soon: int) -> None:
        living, touched = key_of(new_id()), key_of(new_id())
        for _ in range(5):
            await store.create(key_of(new_id()), b"short", soon)
        await store.create(touched, b"touched", soon)
        await store.touch(touched, soon + HOUR)
        await store.create(living, b"living", soon + HOUR)
        assert await store.delete_expired() == 0
        await self.advance(store, clock, HOUR)
        first = await store.delete_expired(limit=2)
        assert 0 <= first <= 2
        collected = first + await store.delete_expired()
        assert collected in (0, 5), "either the store collects them all, or its server does"
        assert (await load(store, living)).data == b"living"
        assert (await load(store, touched)).data == b"touched"
        assert await store.delete_expired() == 0

    # Parallel calls

    async def test_of_parallel_creates_one_wins(self, store: SessionStore, key: str, soon: int) -> None:
        results = await together(*(calling(store.create, key, b"by %d" % number, soon) for number in range(10)))
        assert results.count(True) == 1
        assert (await load(store, key)).data == b"by %d" % results.index(True)

    async def test_of_parallel_replaces_one_wins(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"start", soon)
        version = (await load(store, key)).version
        results = await together(
            *(calling(store.replace, key, b"by %d" % number, soon, version) for number in range(10))
        )
        assert results.count(True) == 1
        assert (await load(store, key)).data == b"by %d" % results.index(True)

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_delete_that_comes_between_is_final(self, store: SessionStore, soon: int, ticks: int) -> None:
        for late in ("replace", "touch", "delete"):
            key = key_of(new_id())
            await store.create(key, b"start", soon)
            version = (await load(store, key)).version
            calls = {
                "replace": calling(store.replace, key, b"late", soon + HOUR, version),
                "touch": calling(store.touch, key, soon + HOUR),
                "delete": calling(store.delete, key, version),
            }
            overtaken: list[bool] = []
            async with anyio.create_task_group() as group:
                group.start_soon(collect, calls[late], overtaken)
                await let_pass(ticks)
                removed = await store.delete(key)
            assert await store.load(key) is None
            assert removed or (late == "delete" and overtaken == [True])

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_touch_and_a_replace_both_hold(self, store: SessionStore, key: str, soon: int, ticks: int) -> None:
        await store.create(key, b"start", soon)
        version = (await load(store, key)).version
        replaced: list[bool] = []
        async with anyio.create_task_group() as group:
            group.start_soon(collect, calling(store.replace, key, b"new", soon, version), replaced)
            await let_pass(ticks)
            assert await store.touch(key, soon + HOUR)
        row = await load(store, key)
        assert replaced == [True], "a touch must not change the version"
        assert row.data == b"new"
        assert row.expires_at in (soon, soon + HOUR)

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_cancelled_call_has_taken_place_or_not(
        self, store: SessionStore, key: str, soon: int, ticks: int
    ) -> None:
        """Check also that the next call gets the answer to its own question.

        A cancelled create may take place at any later time, also after a delete. So its key isn't used again.
        """
        mine, theirs = key_of(new_id()), key_of(new_id())
        await store.create(theirs, b"theirs", soon)
        await cancelled(ticks, calling(store.create, key, b"one", soon))
        assert (await load(store, theirs)).data == b"theirs"
        row = await store.load(key)
        assert row is None or row.data == b"one"
        assert await store.create(mine, b"one", soon)
        for call in (
            calling(store.load, mine),
            calling(store.replace, mine, b"two", soon, (await load(store, mine)).version),
            calling(store.touch, mine, soon + HOUR),
        ):
            await cancelled(ticks, call)
            assert (await load(store, theirs)).data == b"theirs"
            assert (await load(store, mine)).data in (b"one", b"two")
        await cancelled(ticks, calling(store.delete, mine))
        assert (await load(store, theirs)).data == b"theirs"
        assert await store.delete(mine) or await store.load(mine) is None
