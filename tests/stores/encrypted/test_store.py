"""Encryption at rest: keys, rows that can't be read, and what the wrapper passes on."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Secret

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    EncryptedStore,
    MemoryStore,
    SessionDirectory,
    SessionStore,
    SessionTooLarge,
    SQLiteStore,
    SupportsOwners,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores._support.encryption_keys import new_encryption_key
from starlette_sessions_ext.stores.base import SupportsDiagnosis, SupportsListing, SupportsSharding
from starlette_sessions_ext.testing import FakeClock

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.store_wrappers import CountingStore
from .keys import NEW, OLD

pytestmark = pytest.mark.anyio

OWNER = "o" * 32


@pytest.fixture
async def inner(clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore(tmp_path / "sessions.db", clock=clock) as store:
        yield store


async def load(store: SessionStore, key: str) -> bytes:
    row = await store.load(key)
    assert row is not None
    return row.data


async def replace(store: SessionStore, key: str, data: bytes) -> None:
    row = await store.load(key)
    assert row is not None
    assert await store.replace(key, data, row.expires_at, row.version)


# What is stored


async def test_the_inner_store_holds_no_plain_byte(inner: SQLiteStore, key: str, soon: int, tmp_path: Path) -> None:
    store = EncryptedStore(inner, keys=[NEW])
    await store.create(key, b"s2 header\n" + b"canary" * 100, soon)
    await replace(store, key, b"s2 header\n" + b"canary" * 101)
    await inner.aclose()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.encode() in stored
    assert b"canary" not in stored
    assert b"header" not in stored


async def test_a_row_names_version_and_key_and_no_two_are_alike(inner: SQLiteStore, key: str, soon: int) -> None:
    other = key_of(new_id())
    store = EncryptedStore(inner, keys=[NEW])
    rows = []
    for one in (key, other):
        await store.create(one, b"data", soon)
        rows.append(await load(inner, one))
    await replace(store, key, b"data")
    rows.append(await load(inner, key))
    assert len({row[:11] for row in rows}) == 1
    assert rows[0].startswith(b"e1 ")
    assert len({row[11:] for row in rows}) == 3
    assert {len(row) for row in rows} == {4 + 39}


# Keys


async def test_the_first_key_encrypts_and_all_decrypt(inner: SQLiteStore, key: str, soon: int) -> None:
    await EncryptedStore(inner, keys=[OLD]).create(key, b"data", soon)
    before = await load(inner, key)
    both = EncryptedStore(inner, keys=[NEW, OLD])
    assert await load(both, key) == b"data"
    assert await both.touch(key, soon + 1)
    assert await load(inner, key) == before
    await replace(both, key, b"new")
    assert (await load(inner, key))[:11] != before[:11]
    assert await load(EncryptedStore(inner, keys=[NEW]), key) == b"new"
    with pytest.raises(CorruptRecord, match="isn't among the keys"):
        await EncryptedStore(inner, keys=[OLD]).load(key)


@pytest.mark.parametrize("write", [bytes, lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="), Secret])
async def test_keys_are_bytes_or_text(inner: SQLiteStore, key: str, soon: int, write: Any) -> None:
    raw = os.urandom(32)
    text = base64.urlsafe_b64encode(raw).decode()
    await EncryptedStore(inner, keys=[text]).create(key, b"data", soon)
    given = write(text if write is Secret else raw)
    assert await load(EncryptedStore(inner, keys=[given]), key) == b"data"


def test_a_new_key_is_one() -> None:
    made = {new_encryption_key() for _ in range(10)}
    assert len(made) == 10
    EncryptedStore(MemoryStore(), keys=[*made, secrets.token_urlsafe(32)])


@pytest.mark.parametrize(
    "keys",
    [
        *([one] for one in ("", "canary", "canary" * 10, "é" * 43, b"", b"c" * 31, b"c" * 33, None, 7, NEW + "\n")),
        *([NEW, one] for one in ("canary", b"canary", None)),
    ],
    ids=range(13),
)
def test_what_is_no_key_is_refused_and_not_shown(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="--encryption-key") as caught:
        EncryptedStore(MemoryStore(), keys=keys)
    assert f"keys[{len(keys) - 1}]" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert "ccc" not in str(caught.value)


@pytest.mark.parametrize("keys", [None, [], (), NEW, NEW.encode(), b"k" * 32, 7, {NEW}])
def test_keys_are_a_list(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^keys must be a list"):
        EncryptedStore(MemoryStore(), keys=keys)


def test_a_key_that_is_given_twice_is_refused() -> None:
    raw = base64.urlsafe_b64decode(NEW + "=")
    with pytest.raises(ConfigurationError, match=r"^keys\[2\] is the same key as one before it"):
        EncryptedStore(MemoryStore(), keys=[OLD, NEW, raw])


async def test_no_key_is_in_a_repr_or_an_error(key: str, soon: int, clock: FakeClock) -> None:
    inner = MemoryStore(clock=clock)
    store = EncryptedStore(inner, keys=[b"canary" * 5 + b"ca"])
    await inner.create(key, b"plain", soon)
    with pytest.raises(CorruptRecord) as caught:
        await store.load(key)
    shown = [repr(store), repr(vars(store)), repr(caught.value)]
    assert not any("canary" in text or key in text for text in shown)


@pytest.mark.parametrize("store", [None, MemoryStore, "memory://"])
def test_what_is_no_store_is_refused(store: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^store must be a store, such as SQLiteStore\(path\)"):
        EncryptedStore(store, keys=[NEW])


@pytest.mark.parametrize("accept_plain", [None, 1, "yes"])
def test_accept_plain_is_a_bool(accept_plain: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^accept_plain must be True or False"):
        EncryptedStore(MemoryStore(), keys=[NEW], accept_plain=accept_plain)


# Rows that can't be read


async def test_a_row_copied_under_another_key_is_refused(inner: SQLiteStore, soon: int) -> None:
    ann, bob = key_of(new_id()), key_of(new_id())
    store = EncryptedStore(inner, keys=[NEW])
    await store.create(ann, b"ann", soon)
    await store.create(bob, b"bob", soon)
    await replace(inner, ann, await load(inner, bob))
    with pytest.raises(CorruptRecord, match="was changed, or is that of another session"):
        await store.load(ann)
    assert await load(store, bob) == b"bob"


async def test_every_changed_byte_is_noticed_and_the_row_left_alone(inner: SQLiteStore, key: str, soon: int) -> None:
    store = EncryptedStore(inner, keys=[NEW, OLD])
    await store.create(key, b"data", soon)
    sound = await load(inner, key)
    forged = [sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :] for at in range(len(sound))]
    forged += [sound[:length] for length in range(len(sound))]
    forged.append(sound + b"\0")
    for data in forged:
        await replace(inner, key, data)
        before = await inner.load(key)
        with pytest.raises(CorruptRecord, match="left as it is"):
            await store.load(key)
        assert not await store.create(key, b"mine", soon)
        assert await inner.load(key) == before
    await replace(inner, key, sound)
    assert await load(store, key) == b"data"


async def test_a_key_id_of_another_key_opens_nothing(inner: SQLiteStore, key: str, soon: int) -> None:
    both = EncryptedStore(inner, keys=[NEW, OLD])
    await EncryptedStore(inner, keys=[OLD]).create(key, b"data", soon)
    old = await load(inner, key)
    await replace(both, key, b"data")
    new = await load(inner, key)
    await replace(inner, key, new[:11] + old[11:])
    with pytest.raises(CorruptRecord, match="can't be decrypted"):
        await both.load(key)


# Rows of before


async def test_plain_rows_are_refused_unless_they_are_accepted(inner: SQLiteStore, key: str, soon: int) -> None:
    await inner.create(key, b"s2 plain", soon, OWNER)
    with pytest.raises(CorruptRecord, match="isn't encrypted; it was left as it is: accept_plain=True"):
        await EncryptedStore(inner, keys=[NEW]).load(key)
    store = EncryptedStore(inner, keys=[NEW], accept_plain=True)
    assert await load(store, key) == b"s2 plain"
    await store.touch(key, soon + 1)
    assert await load(inner, key) == b"s2 plain"
    await replace(store, key, b"s2 later")
    assert (await load(inner, key)).startswith(b"e1 ")
    assert await load(EncryptedStore(inner, keys=[NEW]), key) == b"s2 later"


async def test_a_row_of_an_unknown_key_is_not_taken_for_a_plain_one(inner: SQLiteStore, key: str, soon: int) -> None:
    await EncryptedStore(inner, keys=[OLD]).create(key, b"data", soon)
    with pytest.raises(CorruptRecord, match="isn't among the keys"):
        await EncryptedStore(inner, keys=[NEW], accept_plain=True).load(key)


# What it passes on


async def test_the_limit_accounts_for_the_overhead(clock: FakeClock, key: str, soon: int) -> None:
    inner = MemoryStore(clock=clock, max_data_bytes=139)
    store = EncryptedStore(inner, keys=[NEW])
    assert store.max_data_bytes == 100
    with pytest.raises(SessionTooLarge, match="takes 101 bytes, the store 100"):
        await store.create(key, b"x" * 101, soon)
    assert await store.create(key, b"x" * 100, soon)
    assert len(await load(inner, key)) == 139
    assert EncryptedStore(MemoryStore(max_data_bytes=None), keys=[NEW]).max_data_bytes is None


def test_a_limit_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_data_bytes of at least 40"):
        EncryptedStore(MemoryStore(max_data_bytes=39), keys=[NEW])
    EncryptedStore(MemoryStore(max_data_bytes=40), keys=[NEW])


async def test_it_can_do_what_its_store_can(inner: SQLiteStore, key: str, soon: int) -> None:
    store = EncryptedStore(inner, keys=[NEW])
    assert isinstance(store, SupportsOwners)
    assert isinstance(store, SupportsListing)
    assert isinstance(store, SupportsDiagnosis)
    assert not isinstance(store, SupportsSharding)
    await store.create(key, b"data", soon, OWNER)
    assert [one async for one in store.all_keys()] == [key]
    assert await store.keys_of(OWNER) == [key]
    assert await store.owner_of(key) == OWNER
    assert await store.diagnose() == await inner.diagnose()
    assert await store.delete_all_of(OWNER) == 1


def test_it_cant_do_what_its_store_cant() -> None:
    memory = EncryptedStore(MemoryStore(), keys=[NEW])
    assert isinstance(memory, SupportsOwners)
    assert not isinstance(memory, SupportsListing)
    assert not isinstance(memory, SupportsDiagnosis)
    without = EncryptedStore(CountingStore(MemoryStore()), keys=[NEW])
    assert isinstance(without, SessionStore)
    assert not isinstance(without, SupportsOwners)
    with pytest.raises(ConfigurationError, match="the sessions of a user"):
        SessionDirectory(without)


async def test_a_store_without_owners_is_given_none(clock: FakeClock, key: str, soon: int) -> None:
    store = EncryptedStore(CountingStore(MemoryStore(clock=clock)), keys=[NEW])
    assert await store.create(key, b"one", soon)
    await replace(store, key, b"two")
    with pytest.raises(TypeError):
        await store.create(key_of(new_id()), b"data", soon, OWNER)


async def test_shards_are_passed_on() -> None:
    class Sharded(MemoryStore):
        def server_of(self, key: str) -> str:
            return key[0]

    store = EncryptedStore(Sharded(), keys=[NEW])
    assert isinstance(store, SupportsSharding)
    assert store.server_of("abc") == "a"


async def test_it_opens_and_closes_its_store() -> None:
    class Opening(MemoryStore):
        said = ""

        async def open(self) -> None:
            self.said += "open "

        async def aclose(self) -> None:
            self.said += "close"

    inner = Opening()
    async with EncryptedStore(inner, keys=[NEW]):
        assert inner.said == "open "
    assert inner.said == "open close"
