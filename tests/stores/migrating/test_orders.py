"""Several processes that move one session and use it at the same time, in every order of their calls to both stores."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, TypeVar

import pytest

from starlette_sessions_ext import MemoryStore, MigratingStore, Stored
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.migrating import _CLAIM
from starlette_sessions_ext.testing import FakeClock

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.scheduler import Scheduler, actor, every_order
from ...support.store_wrappers import GatedStore

pytestmark = pytest.mark.anyio


T = TypeVar("T")
Gate = Callable[[], Awaitable[None]]

STEPS = 10
"""How many calls it takes to move a session."""


class SeenStore(GatedStore):
    """Notes in `seen` what each actor was answered."""

    def __init__(self, store: MemoryStore, gate: Gate, seen: dict[int | None, list[Any]]) -> None:
        super().__init__(store, gate)
        self._seen = seen

    async def load(self, key: str) -> Stored | None:
        return self._note(await super().load(key))

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        return self._note(await super().create(key, data, expires_at))

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        return self._note(await super().replace(key, data, expires_at, version))

    async def touch(self, key: str, expires_at: int) -> bool:
        return self._note(await super().touch(key, expires_at))

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return self._note(await super().delete(key, version))

    def _note(self, answer: T) -> T:
        self._seen[actor()].append(answer)
        return answer


class StoreByContent(MemoryStore):
    """As in Redis the bytes are the version: a row that is the same again is taken for the same."""

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        return self._versioned(key, await super().create(key, data, expires_at, owner))

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return self._versioned(key, await super().replace(key, data, expires_at, version, owner))

    def _versioned(self, key: str, written: bool) -> bool:
        if written:
            row = self._rows[key]
            self._rows[key] = row._replace(version=hash(row.data))
        return written


class Place:
    """A session in the old store, and who uses it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.key = key_of(new_id())
        self.soon = int(clock()) + 3600
        self.new, self.old = StoreByContent(clock=clock), MemoryStore(clock=clock)
        self._seen: dict[int | None, list[Any]] = defaultdict(list)

    async def fill(self) -> None:
        assert await self.old.create(self.key, b"data", self.soon)

    def process(self, gate: Gate) -> MigratingStore:
        """The stores as one process has them, which waits for `gate` before every call."""
        return MigratingStore(*(SeenStore(store, gate, self._seen) for store in (self.new, self.old)))

    async def load(self) -> Stored | None:
        """As a process does that nobody gets in the way of."""
        return await MigratingStore(self.new, self.old).load(self.key)

    def state(self) -> Hashable:
        """All that decides what comes next: both rows, and all answers so far.

        What a claim or a version is called makes no difference, only which are the same.
        """
        versions: dict[Any, int] = {}

        def plain(row: Any) -> Hashable:
            if isinstance(row, bool | None):
                return row
            return row.data[: len(_CLAIM)], row.expires_at, versions.setdefault(row.version, len(versions))

        seen = [(process, *map(plain, answers)) for process, answers in sorted(self._seen.items(), key=str)]
        return plain(self._row(self.new)), plain(self._row(self.old)), *seen

    def _row(self, store: MemoryStore) -> Any:
        return store._rows.get(self.key)


async def load(place: Place, store: MigratingStore) -> Any:
    row = await store.load(place.key)
    return row and row.data


async def replace(place: Place, store: MigratingStore) -> bool:
    """As a request that changes the session."""
    row = await store.load(place.key)
    return row is not None and await store.replace(place.key, b"more", place.soon, row.version)


async def touch(place: Place, store: MigratingStore) -> bool:
    return await store.touch(place.key, place.soon + 60)


async def shorten(place: Place, store: MigratingStore) -> bool:
    return await store.touch(place.key, place.soon - 60)


async def delete(place: Place, store: MigratingStore) -> bool:
    """As a logout. No process sees the session from then on, even if another is still moving it."""
    removed = await store.delete(place.key)
    assert await place.load() is None
    return removed


async def create(place: Place, store: MigratingStore) -> bool:
    return await store.create(place.key, b"another's", place.soon)


Use = Callable[[Place, MigratingStore], Awaitable[Any]]
Check = Callable[[Place, list[Any]], Awaitable[None]]


async def in_every_order(clock: FakeClock, uses: list[Use], check: Check, held_up_after: tuple[int, ...] = ()) -> int:
    """Let a process for each of `uses` do so at once, and `check` what came of it, given their results.

    The last ones only wait twice: after as many calls as `held_up_after`, and after one more.
    """
    waits: list[int | None] = [*[None] * (len(uses) - len(held_up_after)), *held_up_after]

    async def scenario(scheduler: Scheduler) -> None:
        place = Place(clock)
        await place.fill()
        scheduler.state = place.state
        results: list[Any] = [None] * len(uses)

        async def act(number: int) -> None:
            calls = waits[number]
            gate: Gate = scheduler.pass_through
            if calls is not None:
                gate = after(calls, gate)
            results[number] = await uses[number](place, place.process(gate))

        await scheduler.run([partial(act, number) for number in range(len(uses))])
        await check(place, results)

    return await every_order(scenario, limit=20_000)


def after(calls: int, gate: Gate) -> Gate:
    """A gate that is met after a number of calls, and again after the next."""
    numbers = itertools.count()

    async def pass_through() -> None:
        if next(numbers) in (calls, calls + 1):
            await gate()

    return pass_through


async def check_moved(place: Place, data: bytes = b"data", expires_in: int = 0) -> None:
    """The session is in the new store, and nothing of it in the old one."""
    row = await place.new.load(place.key)
    assert row is not None
    assert (row.data, row.expires_at) == (data, place.soon + expires_in)
    assert await place.old.load(place.key) is None


async def check_gone(place: Place) -> None:
    assert await place.load() is None
    assert place._row(place.new) is place._row(place.old) is None


async def test_of_two_that_move_it_both_see_it(clock: FakeClock) -> None:
    async def check(place: Place, results: list[Any]) -> None:
        assert results == [b"data", b"data"]
        await check_moved(place)

    assert await in_every_order(clock, [load, load], check) > 100


@pytest.mark.slow
async def test_a_change_made_during_a_move_is_kept(clock: FakeClock) -> None:
    async def check(place: Place, results: list[Any]) -> None:
        seen, replaced = results
        assert seen in (b"data", b"more")
        assert replaced
        await check_moved(place, b"more")

    assert await in_every_order(clock, [load, replace], check) > 100


@pytest.mark.parametrize(("use", "expires_in"), [(touch, 60), (shorten, -60)])
async def test_a_touch_during_a_move_holds(clock: FakeClock, use: Use, expires_in: int) -> None:
    async def check(place: Place, results: list[Any]) -> None:
        assert results == [b"data", True]
        await check_moved(place, expires_in=expires_in)

    assert await in_every_order(clock, [load, use], check) > 100


async def test_a_logout_during_a_move_is_final(clock: FakeClock) -> None:
    async def check(place: Place, results: list[Any]) -> None:
        seen, removed = results
        assert seen in (b"data", None)
        assert removed
        await check_gone(place)

    assert await in_every_order(clock, [load, delete], check) > 100


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(STEPS))
async def test_a_logout_is_final_against_two_that_were_held_up(clock: FakeClock, steps: int) -> None:
    """They move the session too, are held up after a number of calls each, and go on at any time."""

    async def check(place: Place, results: list[Any]) -> None:
        removed, *seen = results
        assert removed
        assert {*seen} <= {b"data", None}
        await check_gone(place)

    for other_steps in range(steps, STEPS):
        await in_every_order(clock, [delete, load, load], check, held_up_after=(steps, other_steps))


async def test_of_two_logouts_one_ends_the_session(clock: FakeClock) -> None:
    async def check(place: Place, results: list[Any]) -> None:
        assert sorted(results) == [False, True]
        await check_gone(place)

    assert await in_every_order(clock, [delete, delete], check) > 100


@pytest.mark.parametrize("steps", range(STEPS))
async def test_of_two_logouts_one_ends_the_session_while_others_were_held_up(clock: FakeClock, steps: int) -> None:
    """One of them when it had just read the old row."""

    async def check(place: Place, results: list[Any]) -> None:
        assert sorted(results[:2]) == [False, True]
        await check_gone(place)

    await in_every_order(clock, [delete, delete, load], check, held_up_after=(2, steps))


async def test_a_key_is_taken_while_it_moves(clock: FakeClock) -> None:
    async def check(place: Place, results: list[Any]) -> None:
        assert results == [b"data", False]
        await check_moved(place)

    assert await in_every_order(clock, [load, create], check) > 10


async def test_a_session_that_is_moved_and_expires_stays_absent(clock: FakeClock) -> None:
    async def check(place: Place, results: list[Any]) -> None:
        place.clock.advance(3540)
        assert await place.load() is None
        place.clock.advance(-3540)

    await in_every_order(clock, [load, shorten], check)


class Interrupted(Exception):
    pass


async def interrupted_move(clock: FakeClock, steps: int) -> Place:
    """A session whose process was killed after a number of calls of its move."""
    place = Place(clock)
    await place.fill()
    left = steps

    async def gate() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Interrupted

    with pytest.raises(Interrupted):
        await place.process(gate).load(place.key)
    return place


async def at_once() -> None:
    """A gate that is open."""


@pytest.mark.parametrize("steps", range(STEPS))
@pytest.mark.parametrize(
    ("use", "result", "left"),
    [
        (load, b"data", b"data"),
        (replace, True, b"more"),
        (touch, True, b"data"),
        (create, False, b"data"),
        (delete, True, None),
    ],
    ids=["load", "replace", "touch", "create", "delete"],
)
async def test_a_move_that_was_cut_short_is_finished_by_whoever_comes_next(
    clock: FakeClock, use: Use, result: Any, left: bytes | None, steps: int
) -> None:
    place = await interrupted_move(clock, steps)
    assert await use(place, place.process(at_once)) == result
    assert await load(place, place.process(at_once)) == left
    assert await place.old.load(place.key) is None


@pytest.mark.parametrize("steps", range(STEPS))
async def test_what_a_cut_short_move_left_behind_expires_with_the_session(clock: FakeClock, steps: int) -> None:
    place = await interrupted_move(clock, steps)
    assert await shorten(place, place.process(at_once))
    place.clock.advance(3540)
    assert await place.load() is None
    place = await interrupted_move(clock, steps)
    place.clock.advance(3600)
    assert await place.load() is None


async def test_on_the_way_back_a_claim_that_came_too_late_is_no_session(clock: FakeClock) -> None:
    """A process was killed right after it had made one; the two stores have been exchanged since."""
    place = Place(clock)
    assert await place.old.create(place.key, _CLAIM + b"0123456789abcdef", place.soon)
    assert await place.load() is None
    await check_gone(place)
