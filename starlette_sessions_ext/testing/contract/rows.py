"""Rows, one call at a time: made, swapped, moved, deleted and refused."""

from __future__ import annotations

from typing import Any

import pytest

from ..._core.ids import key_of, new_id
from ...errors import SessionTooLarge
from ...stores.base import SessionStore, Stored
from .._named import named
from .base import (
    ANY_BYTES,
    HOUR,
    NEVER_VERSIONS,
    NOT_KEYS,
    NOT_TIMES,
    Call,
    Fixtures,
    a_version,
    calling,
    load,
)


class RowsContract(Fixtures):
    """The tests that every call changes its row as it should, and no other."""

    # Rows

    async def test_what_was_never_made_is_absent(self, store: SessionStore, key: str, soon: int) -> None:
        assert await store.load(key) is None
        assert not await store.replace(key, b"data", soon, await a_version(store, soon))
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
        one = await load(store, key)
        assert await store.replace(key, b"two", soon + 60, one.version)
        two = await load(store, key)
        assert (two.data, two.expires_at) == (b"two", soon + 60)
        assert two.version != one.version

    async def test_replace_refuses_a_stale_version(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"one", soon)
        stale = (await load(store, key)).version
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
        old = (await load(store, key)).version
        await store.delete(key)
        assert not await store.replace(key, b"back", soon, old)
        await store.create(key, b"another", soon)
        assert not await store.replace(key, b"back", soon, old)
        assert not await store.delete(key, old)
        assert (await load(store, key)).data == b"another"

    async def test_touch_moves_the_expiry_alone(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"data", soon)
        before = await load(store, key)
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
        stale = (await load(store, key)).version
        await store.replace(key, b"two", soon, stale)
        two = await load(store, key)
        assert not await store.delete(key, stale)
        assert await store.load(key) == two
        assert await store.delete(key, two.version)
        assert await store.load(key) is None

    async def test_nothing_brings_a_deleted_row_back(self, store: SessionStore, key: str, soon: int) -> None:
        await store.create(key, b"data", soon)
        version = (await load(store, key)).version
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
        await store.replace(keys[4], b"changed", soon, (await load(store, keys[4])).version)
        loaded = [await store.load(key) for key in keys]
        expected = [b"%d" % number for number in range(20)]
        assert [row and row.data for row in loaded] == [*expected[:3], None, b"changed", *expected[5:]]

    # Bytes and sizes

    async def test_any_bytes_come_back(self, store: SessionStore, soon: int) -> None:
        for data in ANY_BYTES:
            with named(data):
                key = key_of(new_id())
                await store.create(key, data, soon)
                row = await load(store, key)
                assert row.data == data
                assert await store.replace(key, data + data, soon, row.version)
                assert (await load(store, key)).data == data + data

    async def test_what_fits_comes_back_and_one_byte_more_is_refused(
        self, store: SessionStore, key: str, soon: int
    ) -> None:
        limit = store.max_data_bytes
        assert limit is None or limit > 0
        largest = b"x" * (1024 * 1024 if limit is None else limit)
        await store.create(key, largest, soon)
        before = await load(store, key)
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
        before = await load(store, key)
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
        before = await load(store, key)
        other = key_of(new_id())
        for bad in NOT_TIMES:
            with named(bad):
                for call in (
                    calling(store.create, other, b"data", bad),
                    calling(store.replace, key, b"new", bad, before.version),
                    calling(store.touch, key, bad),
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
        assert (await load(store, key)).data == b"data"

    async def test_it_is_a_session_store(self, store: SessionStore) -> None:
        assert isinstance(store, SessionStore)
