"""The contract of `stores.base`, as a pytest suite.

Subclass `StoreContract` and give it a `store` fixture. Tests are async and run by anyio's pytest
plugin, on the backends that the `anyio_backend` fixture names. Nothing here looks inside a store.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from .._core.ids import key_of, new_id
from ..errors import SessionTooLarge
from ..stores.base import SessionStore, Stored
from ._named import named
from .clock import FakeClock

HOUR = 3600
TICKS = 25
"""How many steps of the event loop a call is given before another, or a cancellation, comes between."""

NOT_KEYS: list[Any] = [
    *(None, 7, b"a" * 32, {"$ne": None}, {"$gt": ""}, ["a" * 32]),
    *("", "a" * 31, "a" * 33, "a" * 65, "A" * 32, "a" * 31 + " ", "a" * 31 + "\n", "a" * 32 + "\n", "a" * 31 + "\t"),
    *("a" * 31 + "\0", "a" * 31 + "é", unicodedata.normalize("NFKD", "a" * 31 + "é"), "a" * 31 + "%", "../" + "a" * 29),
]
NOT_TIMES: list[Any] = [None, True, 1.5, float("nan"), float("inf"), "1", -1, 10**16]
NEVER_VERSIONS: list[Hashable] = [0, -1, 2**70, 1.5, "", "1", b"", b"one", (), (1,), False]
ANY_BYTES = [b"", b"\0", b"\t\n\r\\'\"`%_;--", bytes(range(256)), b"\xff\xfe\xc3", "🐘".encode(), b" padded  "]


class StoreContract:
    """What every store does. Override `store`, and `advance` where the server has a clock."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    async def store(self, clock: FakeClock) -> Any:
        """An empty store that reads time from `clock`."""
        raise NotImplementedError("give the subclass of StoreContract a `store` fixture")

    @pytest.fixture
    def key(self) -> str:
        return key_of(new_id())

    @pytest.fixture
    def soon(self, clock: FakeClock) -> int:
        """A time an hour from now."""
        return int(clock()) + HOUR

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        """Let time pass for the store."""
        clock.advance(seconds)

    # Rows

    async def test_what_was_never_made_is_absent(self, store: SessionStore, key: str, soon: int) -> None:
        assert await store.load(key) is None
        assert not await store.replace(key, b"data", soon, await _a_version(store, soon))
        assert not await store.touch(key, soon)
        assert not await store.delete(key)
        assert await store.load(key) is None

    async def test_create_makes_a_row(self, store: SessionStore, key: str, soon: int) -> None:
        assert await store.create(key, b"data", soon)
        stored = await store.load(key)
        assert stored is not None
        assert (stored.data, stored.expires_at) == (b"data", soon)
        hash(stored.version)

    async def test_create_never_takes_a_row_over(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"theirs", soon)
        before = await store.load(key)
        assert not await store.create(key, b"mine", soon + 1)
        assert await store.load(key) == before

    async def test_replace_swaps_what_was_loaded(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"one", soon)
        one = await _load(store, key)
        assert await store.replace(key, b"two", soon + 60, one.version)
        two = await _load(store, key)
        assert (two.data, two.expires_at) == (b"two", soon + 60)
        assert two.version != one.version

    async def test_replace_refuses_a_stale_version(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"one", soon)
        stale = (await _load(store, key)).version
        await store.replace(key, b"two", soon, stale)
        two = await store.load(key)
        assert not await store.replace(key, b"three", soon + 60, stale)
        assert await store.load(key) == two

    async def test_a_version_that_was_never_given_matches_nothing(
        self, store: SessionStore, key: str, soon: int
    ) -> None:
        await store.create(key, b"data", soon)
        before = await store.load(key)
        for version in NEVER_VERSIONS:
            with named(version):
                assert not await store.replace(key, b"new", soon, version)
                assert not await store.delete(key, version)
                assert await store.load(key) == before

    async def test_a_version_of_a_deleted_row_is_worth_nothing(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"one", soon)
        old = (await _load(store, key)).version
        await store.delete(key)
        assert not await store.replace(key, b"back", soon, old)
        await store.create(key, b"another", soon)
        assert not await store.replace(key, b"back", soon, old)
        assert not await store.delete(key, old)
        assert (await _load(store, key)).data == b"another"

    async def test_touch_moves_the_expiry_alone(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"data", soon)
        before = await _load(store, key)
        for expires_at in (soon + HOUR, soon - 60, soon - 60):
            assert await store.touch(key, expires_at)
            assert await store.load(key) == Stored(before.data, before.version, expires_at)

    async def test_delete_says_whether_it_removed(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"data", soon)
        assert await store.delete(key)
        assert await store.load(key) is None
        assert not await store.delete(key)

    async def test_delete_by_version_spares_a_newer_row(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"one", soon)
        stale = (await _load(store, key)).version
        await store.replace(key, b"two", soon, stale)
        two = await _load(store, key)
        assert not await store.delete(key, stale)
        assert await store.load(key) == two
        assert await store.delete(key, two.version)
        assert await store.load(key) is None

    async def test_nothing_brings_a_deleted_row_back(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"data", soon)
        version = (await _load(store, key)).version
        await store.delete(key)
        assert not await store.replace(key, b"late", soon, version)
        assert not await store.touch(key, soon + HOUR)
        assert not await store.delete(key, version)
        assert await store.load(key) is None

    async def test_rows_dont_touch_each_other(self, store: SessionStore, soon: int) -> None:
        keys = [key_of(new_id()) for _ in range(20)]
        for number, key in enumerate(keys):
            await store.create(key, b"%d" % number, soon + number)
        await store.delete(keys[3])
        await store.replace(keys[4], b"changed", soon, (await _load(store, keys[4])).version)
        loaded = [await store.load(key) for key in keys]
        expected = [b"%d" % number for number in range(20)]
        assert [row and row.data for row in loaded] == [*expected[:3], None, b"changed", *expected[5:]]

    # Bytes and sizes

    async def test_any_bytes_come_back(self, store: SessionStore, soon: int) -> None:
        for data in ANY_BYTES:
            with named(data):
                key = key_of(new_id())
                await store.create(key, data, soon)
                row = await _load(store, key)
                assert row.data == data
                assert await store.replace(key, data + data, soon, row.version)
                assert (await _load(store, key)).data == data + data

    async def test_what_fits_comes_back_and_one_byte_more_is_refused(
        self, store: SessionStore, key: str, soon: int
    ) -> None:
        limit = store.max_data_bytes
        assert limit is None or limit > 0
        largest = b"x" * (1024 * 1024 if limit is None else limit)
        await store.create(key, largest, soon)
        before = await _load(store, key)
        assert before.data == largest
        if limit is not None:
            with pytest.raises(SessionTooLarge):
                await store.replace(key, largest + b"x", soon, before.version)
            with pytest.raises(SessionTooLarge):
                await store.create(key_of(new_id()), largest + b"x", soon)
        assert await store.load(key) == before

    # What isn't a key or a time

    async def test_hostile_keys_are_refused(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"data", soon)
        before = await _load(store, key)
        for bad in NOT_KEYS:
            with named(bad):
                await self._is_refused(store, soon, before.version, bad)
                assert await store.load(key) == before

    async def _is_refused(self, store: SessionStore, soon: int, version: Any, bad: Any) -> None:
        calls: list[Call] = [
            lambda: store.load(bad),
            lambda: store.create(bad, b"data", soon),
            lambda: store.replace(bad, b"data", soon, version),
            lambda: store.touch(bad, soon),
            lambda: store.delete(bad),
            lambda: store.delete(bad, version),
        ]
        for call in calls:
            with pytest.raises((TypeError, ValueError)):
                await call()

    async def test_hostile_times_are_refused(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"data", soon)
        before = await _load(store, key)
        other = key_of(new_id())
        for bad in NOT_TIMES:
            with named(bad):
                for call in (
                    _call(store.create, other, b"data", bad),
                    _call(store.replace, key, b"new", bad, before.version),
                    _call(store.touch, key, bad),
                ):
                    with pytest.raises((TypeError, ValueError)):
                        await call()
                assert await store.load(other) is None
                assert await store.load(key) == before

    async def test_only_bytes_are_data(self, store: SessionStore, key: str, soon: int) -> None:
        not_bytes: Any = "text"
        with pytest.raises(TypeError):
            await store.create(key, not_bytes, soon)
        assert await store.load(key) is None

    # Expiry

    async def test_a_row_is_absent_from_the_second_it_expires(
        self, store: SessionStore, key: str, clock: FakeClock, soon: int
    ) -> None:
        await store.create(key, b"data", soon)
        version = (await _load(store, key)).version
        await self.advance(store, clock, HOUR - 60)
        assert (await _load(store, key)).expires_at == soon
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
        old = (await _load(store, key)).version
        await self.advance(store, clock, HOUR)
        assert await store.create(key, b"new", soon + HOUR)
        assert not await store.replace(key, b"back", soon + HOUR, old)
        assert (await _load(store, key)).data == b"new"

    async def test_a_time_that_has_come_makes_a_row_absent(
        self, store: SessionStore, key: str, clock: FakeClock, soon: int
    ) -> None:
        past = int(clock()) - 1
        assert await store.create(key, b"stillborn", past)
        assert await store.load(key) is None
        assert await store.create(key, b"data", soon)
        assert not await store.create(key, b"taken", past)
        version = (await _load(store, key)).version
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
        assert (await _load(store, living)).data == b"living"
        assert (await _load(store, touched)).data == b"touched"
        assert await store.delete_expired() == 0

    # Parallel calls

    async def test_of_parallel_creates_one_wins(self, store: SessionStore, key: str, soon: int) -> None:
        results = await _together(*(_call(store.create, key, b"by %d" % number, soon) for number in range(10)))
        assert results.count(True) == 1
        assert (await _load(store, key)).data == b"by %d" % results.index(True)

    async def test_of_parallel_replaces_one_wins(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"start", soon)
        version = (await _load(store, key)).version
        results = await _together(
            *(_call(store.replace, key, b"by %d" % number, soon, version) for number in range(10))
        )
        assert results.count(True) == 1
        assert (await _load(store, key)).data == b"by %d" % results.index(True)

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_delete_that_comes_between_is_final(self, store: SessionStore, soon: int, ticks: int) -> None:
        for late in ("replace", "touch", "delete"):
            key = key_of(new_id())
            await store.create(key, b"start", soon)
            version = (await _load(store, key)).version
            calls = {
                "replace": _call(store.replace, key, b"late", soon + HOUR, version),
                "touch": _call(store.touch, key, soon + HOUR),
                "delete": _call(store.delete, key, version),
            }
            overtaken: list[bool] = []
            async with anyio.create_task_group() as group:
                group.start_soon(_collect, calls[late], overtaken)
                await _ticks(ticks)
                removed = await store.delete(key)
            assert await store.load(key) is None
            assert removed or (late == "delete" and overtaken == [True])

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_touch_and_a_replace_both_hold(self, store: SessionStore, key: str, soon: int, ticks: int) -> None:
        await store.create(key, b"start", soon)
        version = (await _load(store, key)).version
        replaced: list[bool] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_collect, _call(store.replace, key, b"new", soon, version), replaced)
            await _ticks(ticks)
            assert await store.touch(key, soon + HOUR)
        row = await _load(store, key)
        assert replaced == [True], "a touch must not change the version"
        assert row.data == b"new"
        assert row.expires_at in (soon, soon + HOUR)

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_a_cancelled_call_has_taken_place_or_not(
        self, store: SessionStore, key: str, soon: int, ticks: int
    ) -> None:
        """And the next call gets the answer to its own question.

        A cancelled create may take place at any later time, also after a delete. So its key isn't used again.
        """
        mine, theirs = key_of(new_id()), key_of(new_id())
        await store.create(theirs, b"theirs", soon)
        await _cancelled(ticks, _call(store.create, key, b"one", soon))
        assert (await _load(store, theirs)).data == b"theirs"
        row = await store.load(key)
        assert row is None or row.data == b"one"
        assert await store.create(mine, b"one", soon)
        for call in (
            _call(store.load, mine),
            _call(store.replace, mine, b"two", soon, (await _load(store, mine)).version),
            _call(store.touch, mine, soon + HOUR),
        ):
            await _cancelled(ticks, call)
            assert (await _load(store, theirs)).data == b"theirs"
            assert (await _load(store, mine)).data in (b"one", b"two")
        await _cancelled(ticks, _call(store.delete, mine))
        assert (await _load(store, theirs)).data == b"theirs"
        assert await store.delete(mine) or await store.load(mine) is None

    # Opening and closing

    async def test_it_opens_and_closes_again_and_again(self, store: SessionStore, key: str, soon: int) -> None:
        await store.open()
        await store.open()
        await store.create(key, b"data", soon)
        await store.aclose()
        await store.aclose()
        await store.open()
        async with store as same:
            assert same is store
            await store.load(key)

    async def test_the_first_operation_opens(self, store: SessionStore, key: str, soon: int) -> None:
        await store.aclose()
        assert await store.create(key, b"data", soon)
        assert (await _load(store, key)).data == b"data"

    async def test_it_is_a_session_store(self, store: SessionStore) -> None:
        assert isinstance(store, SessionStore)


async def _load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


async def _a_version(store: SessionStore, soon: int) -> Any:
    """A version that this store has given, of another row."""
    key = key_of(new_id())
    await store.create(key, b"other", soon)
    return (await _load(store, key)).version


Call = Callable[[], Coroutine[Any, Any, Any]]


def _call(method: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Call:
    return lambda: method(*arguments)


async def _collect(call: Call, results: list[Any]) -> None:
    results.append(await call())


async def _together(*calls: Call) -> list[Any]:
    """Run the calls at once; results in the order of the calls."""
    results: list[list[Any]] = [[] for _ in calls]
    async with anyio.create_task_group() as group:
        for call, result in zip(calls, results, strict=True):
            group.start_soon(_collect, call, result)
    return [result[0] for result in results]


async def _ticks(count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def _cancelled(ticks: int, call: Call) -> None:
    """Start the call, and cancel it some steps of the event loop later."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await _ticks(ticks)
        group.cancel_scope.cancel()
