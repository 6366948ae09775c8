"""Owners: their rows are listed, and removed at once.

The tests are for stores that are a `SupportsOwners`.
"""

from __future__ import annotations

from itertools import count

import anyio
import pytest

from ..._core.ids import key_of, new_id
from ...stores.base import SessionStore, SupportsOwners
from .._named import named
from ..clock import FakeClock
from .base import HOUR, NOT_KEYS, TICKS, Call, Fixtures, calling, cancelled, collect, let_pass, load, together

ANN, BOB = "a" * 32, "b" * 32
NOT_OWNERS = [key for key in NOT_KEYS if key is not None]
MANY = 250
"""Rows that take more than one batch to remove."""


class OwnersContract(Fixtures):
    """The tests that an owner's rows are listed exactly, and can all be removed.

    The list is exact whatever is done to the rows.
    """

    @pytest.fixture
    def owners(self, store: SessionStore) -> SupportsOwners:
        """Return the same store.

        Tests that ask for it are skipped where the store knows no owners.
        """
        if not isinstance(store, SupportsOwners):
            pytest.skip("the store is no SupportsOwners")
        return store

    # One call at a time

    async def test_the_rows_of_an_owner_are_listed(self, owners: SupportsOwners, soon: int) -> None:
        first, second, theirs, nobodys = [key_of(new_id()) for _ in range(4)]
        for key, owner in ((first, ANN), (second, ANN), (theirs, BOB), (nobodys, None)):
            assert await owners.create(key, b"data", soon, owner)
            assert await owners.owner_of(key) == owner
        assert await listed(owners, ANN) == {first, second}
        assert await listed(owners, BOB) == {theirs}
        assert await listed(owners, "c" * 32) == set()
        assert await owners.owner_of(key_of(new_id())) is None

    async def test_replace_gives_a_row_its_owner(self, owners: SupportsOwners, key: str, soon: int) -> None:
        await owners.create(key, b"0", soon)
        for number, owner in enumerate((ANN, ANN, BOB, None, None, BOB, ANN), 1):
            row = await load(owners, key)
            assert await owners.replace(key, b"%d" % number, soon, row.version, owner)
            await self._belongs_to(owners, key, owner)

    async def test_replace_without_an_owner_leaves_none(self, owners: SupportsOwners, key: str, soon: int) -> None:
        await owners.create(key, b"one", soon, ANN)
        assert await owners.replace(key, b"two", soon, (await load(owners, key)).version)
        await self._belongs_to(owners, key, None)

    async def test_what_is_refused_changes_no_owner(self, owners: SupportsOwners, key: str, soon: int) -> None:
        await owners.create(key, b"one", soon)
        stale = (await load(owners, key)).version
        await owners.replace(key, b"two", soon, stale, ANN)
        assert not await owners.create(key, b"three", soon, BOB)
        assert not await owners.replace(key, b"three", soon, stale, BOB)
        assert not await owners.replace(key_of(new_id()), b"three", soon, stale, BOB)
        await self._belongs_to(owners, key, ANN)

    async def test_touch_keeps_the_owner_and_delete_ends_it(self, owners: SupportsOwners, soon: int) -> None:
        key, other = key_of(new_id()), key_of(new_id())
        for mine in (key, other):
            await owners.create(mine, b"data", soon, ANN)
            await owners.touch(mine, soon + HOUR)
        assert await listed(owners, ANN) == {key, other}
        assert await owners.delete(key)
        assert await listed(owners, ANN) == {other}
        assert await owners.owner_of(key) is None
        assert await owners.delete(other, (await load(owners, other)).version)
        assert await listed(owners, ANN) == set()
        await owners.create(key, b"another", soon, BOB)
        await self._belongs_to(owners, key, BOB)

    async def test_what_has_expired_is_not_listed(
        self, owners: SupportsOwners, clock: FakeClock, key: str, soon: int
    ) -> None:
        stays, ends, stillborn = key_of(new_id()), key_of(new_id()), key_of(new_id())
        await owners.create(key, b"data", soon, ANN)
        await owners.create(stays, b"data", soon, ANN)
        await owners.touch(stays, soon + HOUR)
        await owners.create(ends, b"data", soon + HOUR, ANN)
        await owners.touch(ends, soon)
        await owners.create(stillborn, b"data", int(clock()), ANN)
        assert await listed(owners, ANN) == {key, stays, ends}
        await self.advance(owners, clock, HOUR)
        assert await listed(owners, ANN) == {stays}
        assert await owners.owner_of(key) is None
        assert await owners.create(key, b"new", soon + HOUR, BOB)
        assert await listed(owners, BOB) == {key}
        await owners.delete_expired()
        assert await listed(owners, ANN) == {stays}
        assert await owners.delete_all_of(ANN) == 1
        assert await listed(owners, BOB) == {key}

    # All at once

    async def test_all_rows_of_an_owner_are_removed(self, owners: SupportsOwners, soon: int) -> None:
        keys, theirs, nobodys = [key_of(new_id()) for _ in range(5)], key_of(new_id()), key_of(new_id())
        for key in (*keys, theirs):
            await owners.create(key, b"data", soon, BOB if key == theirs else ANN)
        await owners.create(nobodys, b"data", soon)
        version = (await load(owners, keys[0])).version
        assert await owners.delete_all_of(ANN) == 5
        assert [await owners.load(key) for key in keys] == [None] * 5
        assert (await owners.delete_all_of(ANN), await listed(owners, ANN)) == (0, set())
        assert not await owners.replace(keys[0], b"late", soon, version, ANN)
        assert not await owners.touch(keys[0], soon + HOUR)
        assert await listed(owners, BOB) == {theirs}
        assert (await load(owners, nobodys)).data == b"data"

    async def test_all_rows_but_one_are_removed(self, owners: SupportsOwners, key: str, soon: int) -> None:
        theirs = key_of(new_id())
        for other in (key, key_of(new_id()), key_of(new_id())):
            await owners.create(other, b"data", soon, ANN)
        await owners.create(theirs, b"data", soon, BOB)
        before = await load(owners, key)
        assert await owners.delete_all_of(ANN, keep=key) == 2
        assert await load(owners, key) == before
        await self._belongs_to(owners, key, ANN)
        assert await owners.delete_all_of(ANN, key) == 0
        assert await owners.delete_all_of(ANN, keep=theirs) == 1
        assert await owners.load(key) is None

    async def test_many_rows_are_listed_and_removed(self, owners: SupportsOwners, key: str, soon: int) -> None:
        keys = [key_of(new_id()) for _ in range(MANY)]
        assert await owners.create(key, b"data", soon, ANN)
        for first in range(0, MANY, 25):
            await together(*(calling(owners.create, one, b"data", soon, ANN) for one in keys[first : first + 25]))
        assert await listed(owners, ANN) == {key, *keys}
        assert await owners.delete_all_of(ANN, keep=key) == MANY
        assert await listed(owners, ANN) == {key}
        assert not any([await owners.load(one) for one in keys[::10]])

    async def test_what_is_no_owner_is_refused(self, owners: SupportsOwners, key: str, soon: int) -> None:
        await owners.create(key, b"data", soon, ANN)
        before = await load(owners, key)
        calls: list[Call] = [calling(owners.keys_of, None), calling(owners.delete_all_of, None)]
        for bad in NOT_OWNERS:
            calls += (calling(owners.keys_of, bad), calling(owners.delete_all_of, bad))
            calls += (calling(owners.delete_all_of, ANN, bad), calling(owners.owner_of, bad))
            calls.append(calling(owners.create, key_of(new_id()), b"data", soon, bad))
            calls.append(calling(owners.replace, key, b"new", soon, before.version, bad))
        for number, call in enumerate(calls):
            with named(number), pytest.raises((TypeError, ValueError)):
                await call()
        assert await load(owners, key) == before
        assert await listed(owners, ANN) == {key}

    # Parallel calls

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_creates_and_a_removal_of_all(self, owners: SupportsOwners, soon: int, ticks: int) -> None:
        before, new = [key_of(new_id()) for _ in range(3)], [key_of(new_id()) for _ in range(5)]
        for key in before:
            await owners.create(key, b"data", soon, ANN)
        created: list[bool] = []
        async with anyio.create_task_group() as group:
            for key in new:
                group.start_soon(collect, calling(owners.create, key, b"data", soon, ANN), created)
            await let_pass(ticks)
            removed = await owners.delete_all_of(ANN)
        assert created == [True] * 5
        assert not any([await owners.load(key) for key in before])
        left = {key for key in new if await owners.load(key) is not None}
        assert await listed(owners, ANN) == left
        assert removed == 8 - len(left)

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_replace_and_a_removal_of_all(self, owners: SupportsOwners, soon: int, ticks: int) -> None:
        for owner in (ANN, BOB, None):
            key = key_of(new_id())
            await owners.create(key, b"old", soon, ANN)
            version, replaced = (await load(owners, key)).version, list[bool]()
            async with anyio.create_task_group() as group:
                group.start_soon(collect, calling(owners.replace, key, b"new", soon, version, owner), replaced)
                await let_pass(ticks)
                removed = await owners.delete_all_of(ANN)
            row = await owners.load(key)
            assert removed == (row is None)
            if row is not None:
                assert (row.data, replaced, owner == ANN) == (b"new", [True], False)
                await self._belongs_to(owners, key, owner)
            assert await listed(owners, ANN) == set()

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_row_is_counted_by_the_call_that_removes_it(
        self, owners: SupportsOwners, soon: int, ticks: int
    ) -> None:
        for other in ("delete", "delete_all_of", "touch"):
            key = key_of(new_id())
            await owners.create(key, b"data", soon, ANN)
            calls = {
                "delete": calling(owners.delete, key),
                "delete_all_of": calling(owners.delete_all_of, ANN),
                "touch": calling(owners.touch, key, soon + HOUR),
            }
            answer: list[int] = []
            async with anyio.create_task_group() as group:
                group.start_soon(collect, calls[other], answer)
                await let_pass(ticks)
                removed = await owners.delete_all_of(ANN)
            assert removed + (other != "touch" and answer[0]) == 1
            assert await owners.load(key) is None
            assert await listed(owners, ANN) == set()

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_cancelled_call_leaves_the_lists_exact(
        self, owners: SupportsOwners, key: str, soon: int, ticks: int
    ) -> None:
        theirs = key_of(new_id())
        await owners.create(key, b"mine", soon, ANN)
        await owners.create(theirs, b"theirs", soon, BOB)
        numbers = count()
        for owner in (BOB, None, ANN):
            version = (await load(owners, key)).version
            write = calling(owners.replace, key, b"cut short %d" % next(numbers), soon, version, owner)
            for call in (write, calling(owners.keys_of, ANN), calling(owners.owner_of, key)):
                await cancelled(ticks, call)
            settled = False  # a cancelled write may take place later, but not after another
            while not settled:
                version = (await load(owners, key)).version
                settled = await owners.replace(key, b"whole %d" % next(numbers), soon, version, ANN)
            assert await listed(owners, ANN) == {key}
            assert await listed(owners, BOB) == {theirs}
        await cancelled(ticks, calling(owners.delete_all_of, ANN))
        assert await owners.delete_all_of(ANN) in (0, 1)
        assert await owners.load(key) is None
        assert await listed(owners, ANN) == set()
        late = key_of(new_id())
        await cancelled(ticks, calling(owners.create, late, b"late", soon, ANN))
        assert await listed(owners, ANN) <= {late}
        assert await listed(owners, BOB) == {theirs}

    async def _belongs_to(self, store: SupportsOwners, key: str, owner: str | None) -> None:
        assert await store.owner_of(key) == owner
        for one in (ANN, BOB):
            assert (key in await listed(store, one)) == (one == owner)


async def listed(store: SupportsOwners, owner: str) -> set[str]:
    """Return an owner's keys, of which none is listed twice."""
    keys = await store.keys_of(owner)
    assert type(keys) is list
    assert len(keys) == len(set(keys))
    return set(keys)
