"""Owners of sessions that move: nobody's sessions are out of sight at any moment, and a revocation ends them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, TypeVar

import pytest

from starlette_sessions_ext import MemoryStore, MigratingStore, Stored
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.base import SessionStore, SupportsOwners
from starlette_sessions_ext.stores.migrating import _CLAIM, _COPY
from starlette_sessions_ext.testing import FakeClock

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.scheduler import Scheduler, actor, every_order
from ...support.store_wrappers import CountingStore
from .test_orders import after

pytestmark = pytest.mark.anyio

ANN, BOB = "a" * 32, "b" * 32
T = TypeVar("T")
Gate = Callable[[], Awaitable[None]]


class OwnedStore(MemoryStore):
    """Passes everything on to `rows`, after `gate`, and notes in `seen` what each actor was answered."""

    def __init__(self, rows: MemoryStore, gate: Gate, seen: dict[int | None, list[Any]]) -> None:
        super().__init__()
        self.rows = rows
        self.gate = gate
        self.seen = seen

    async def load(self, key: str) -> Stored | None:
        return await self._ask(self.rows.load(key))

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        return await self._ask(self.rows.create(key, data, expires_at, owner))

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return await self._ask(self.rows.replace(key, data, expires_at, version, owner))

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await self._ask(self.rows.delete(key, version))

    async def owner_of(self, key: str) -> str | None:
        return await self._ask(self.rows.owner_of(key))

    async def keys_of(self, owner: str) -> list[str]:
        return await self._ask(self.rows.keys_of(owner))

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        return await self._ask(self.rows.delete_all_of(owner, keep))

    async def _ask(self, call: Awaitable[T]) -> T:
        await self.gate()
        answer = await call
        self.seen[actor()].append(answer)
        return answer


class Place:
    """A session of Ann's in the old store."""

    def __init__(self, clock: FakeClock) -> None:
        self.key = "k" * 32  # always the same, as it is part of the state
        self.soon = int(clock()) + 3600
        self.new, self.old = MemoryStore(clock=clock), MemoryStore(clock=clock)
        self.seen: dict[int | None, list[Any]] = defaultdict(list)

    def process(self, gate: Gate) -> Any:
        return MigratingStore(*(OwnedStore(rows, gate, self.seen) for rows in (self.new, self.old)))

    def store(self) -> Any:
        return MigratingStore(self.new, self.old)

    def state(self) -> Hashable:
        """Both rows, their owners, and what each actor was answered; versions by who has which."""
        versions: dict[Any, int] = {}

        def plain(row: Any) -> Hashable:
            if isinstance(row, Stored):
                return row.data[: len(_CLAIM)], versions.setdefault(row.version, len(versions))
            return tuple(row) if isinstance(row, list) else row

        rows = [(plain(one._rows.get(self.key)), one._owners.get(self.key)) for one in (self.new, self.old)]
        seen = [(number, *map(plain, answers)) for number, answers in sorted(self.seen.items(), key=str)]
        return *rows, *seen


async def load(place: Place, store: Any) -> Any:
    row = await store.load(place.key)
    return row and row.data


async def sign_in_again(place: Place, store: Any) -> bool:
    """As a request that keeps the owner."""
    row = await store.load(place.key)
    return row is not None and await store.replace(place.key, b"more", place.soon, row.version, ANN)


async def hand_over(place: Place, store: Any) -> bool:
    row = await store.load(place.key)
    return row is not None and await store.replace(place.key, b"more", place.soon, row.version, BOB)


async def revoke(place: Place, store: Any) -> int:
    """Nobody sees the session from then on, whatever else is under way, unless it had become another's."""
    removed: int = await store.delete_all_of(ANN)
    assert await place.store().keys_of(ANN) == []
    return removed


async def listed(place: Place, store: Any) -> list[str]:
    keys: list[str] = await store.keys_of(ANN)
    return keys


async def sign_out(place: Place, store: Any) -> bool:
    removed: bool = await store.delete(place.key)
    return removed


async def in_every_order(
    clock: FakeClock,
    uses: list[Callable[[Place, Any], Awaitable[Any]]],
    check: Callable[..., Awaitable[None]],
    held_up_after: tuple[int, ...] = (),
) -> int:
    """Let a process for each of `uses` do so at once, and `check` what came of it, given their results.

    The last ones only wait twice: after as many calls as `held_up_after`, and after one more.
    """
    waits: list[int | None] = [*[None] * (len(uses) - len(held_up_after)), *held_up_after]

    async def scenario(scheduler: Scheduler) -> None:
        place = Place(clock)
        assert await place.old.create(place.key, b"data", place.soon, ANN)
        scheduler.state = place.state
        results: list[Any] = [None] * len(uses)

        async def act(number: int) -> None:
            calls, gate = waits[number], scheduler.pass_through
            results[number] = await uses[number](place, place.process(gate if calls is None else after(calls, gate)))

        await scheduler.run([partial(act, number) for number in range(len(uses))])
        await check(place, *results)

    return await every_order(scenario, limit=20_000)


async def check_gone(place: Place) -> None:
    assert await place.store().load(place.key) is None
    assert place.new._rows == place.old._rows == {}


async def test_a_session_keeps_its_owner_while_it_moves(clock: FakeClock) -> None:
    async def check(place: Place, seen: bytes, keys: list[str]) -> None:
        assert (seen, keys) == (b"data", [place.key]), "at every moment"
        assert await place.new.keys_of(ANN) == [place.key]
        assert await place.old.keys_of(ANN) == []

    assert await in_every_order(clock, [load, listed], check) > 10


async def test_a_session_keeps_its_owner_if_two_move_it(clock: FakeClock) -> None:
    async def check(place: Place, *seen: bytes) -> None:
        assert seen == (b"data", b"data")
        assert await place.new.keys_of(ANN) == [place.key]

    assert await in_every_order(clock, [load, load], check) > 100


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(12))
async def test_a_revocation_is_final_against_two_that_were_held_up(clock: FakeClock, steps: int) -> None:
    async def check(place: Place, removed: int, *seen: bytes | None) -> None:
        assert removed == 1
        await check_gone(place)

    for other_steps in range(steps, 12, 3):
        await in_every_order(clock, [revoke, load, load], check, held_up_after=(steps, other_steps))


@pytest.mark.slow
@pytest.mark.parametrize("use", [load, sign_in_again])
async def test_a_revocation_during_a_move_is_final(clock: FakeClock, use: Any) -> None:
    async def check(place: Place, result: Any, removed: int) -> None:
        assert removed == 1
        await check_gone(place)

    assert await in_every_order(clock, [use, revoke], check) > 30


@pytest.mark.slow
@pytest.mark.parametrize("other", [revoke, sign_out])
async def test_of_two_that_end_it_one_counts_it(clock: FakeClock, other: Any) -> None:
    async def check(place: Place, *removed: int) -> None:
        assert sum(removed) == 1
        await check_gone(place)

    assert await in_every_order(clock, [other, revoke], check) > 30


@pytest.mark.slow
async def test_a_session_that_has_become_anothers_is_spared(clock: FakeClock) -> None:
    async def check(place: Place, handed_over: bool, removed: int) -> None:
        assert removed == (not handed_over)
        assert await place.store().keys_of(BOB) == [place.key] * handed_over

    assert await in_every_order(clock, [hand_over, revoke], check) > 30


async def test_a_move_that_was_cut_short_is_listed_and_counted_once(clock: FakeClock) -> None:
    for in_new in (_CLAIM, _COPY + b"data"):
        place = Place(clock)
        await place.old.create(place.key, b"data", place.soon, ANN)
        await place.new.create(place.key, in_new, place.soon, None if in_new == _CLAIM else ANN)
        store = place.store()
        assert await store.keys_of(ANN) == [place.key]
        assert await store.owner_of(place.key) == ANN
        assert await store.delete_all_of(ANN, keep=key_of(new_id())) == 1
        await check_gone(place)


async def test_the_kept_session_stays_where_it_is(clock: FakeClock) -> None:
    place = Place(clock)
    await place.old.create(place.key, b"data", place.soon, ANN)
    assert await place.store().delete_all_of(ANN, keep=place.key) == 0
    assert await place.store().keys_of(ANN) == [place.key]


async def test_moving_takes_two_calls_more_for_the_owner(clock: FakeClock) -> None:
    place = Place(clock)
    await place.old.create(place.key, b"data", place.soon, ANN)
    calls: list[None] = []

    async def count() -> None:
        calls.append(None)

    store = place.process(count)
    await store.load(place.key)
    assert len(calls) == 12
    await store.load(place.key)
    assert len(calls) == 13


async def test_a_session_that_the_new_store_cant_hold_is_removed_where_it_is(clock: FakeClock, soon: int) -> None:
    new, old = MemoryStore(max_data_bytes=500, clock=clock), MemoryStore(clock=clock)
    keys = [key_of(new_id()) for _ in range(3)]
    for key, data in zip(keys, (b"x" * 600, b"data", b"x" * 600), strict=True):
        await old.create(key, data, soon, ANN)
    store: Any = MigratingStore(new, old)
    assert {*await store.keys_of(ANN)} == {*keys}
    assert await store.delete_all_of(ANN, keep=keys[2]) == 2
    assert await store.keys_of(ANN) == [keys[2]]
    assert await store.delete_all_of(ANN) == 1


async def test_an_old_store_without_owners_has_sessions_of_nobody(clock: FakeClock, key: str, soon: int) -> None:
    new, old = MemoryStore(clock=clock), CountingStore(MemoryStore(clock=clock))
    await old.create(key, b"data", soon)
    store: Any = MigratingStore(new, old)
    assert isinstance(store, SupportsOwners)
    assert await store.owner_of(key) is None
    row = await store.load(key)
    assert row is not None
    assert await store.replace(key, b"more", soon, row.version, ANN)
    assert await store.keys_of(ANN) == [key]
    assert await store.delete_all_of(ANN) == 1


def test_a_new_store_without_owners_makes_one_without() -> None:
    new: SessionStore = CountingStore(MemoryStore())
    store = MigratingStore(new, MemoryStore())
    assert not isinstance(store, SupportsOwners)
