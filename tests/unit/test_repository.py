"""The repository where requests come between: the paths that no request alone takes."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import MemoryStore, StoreUnavailable
from starlette_sessions_ext._core.circuit_breaker import Guard
from starlette_sessions_ext._core.ids import Successors, key_of, new_id
from starlette_sessions_ext._core.lifetimes import Lifetimes
from starlette_sessions_ext._core.plan import Entry
from starlette_sessions_ext._core.repository import Replaced, SessionRepository
from starlette_sessions_ext._core.rows import Rows
from starlette_sessions_ext.stores.base import SessionStore, Stored
from starlette_sessions_ext.testing import FakeClock

from ..support.store_wrappers import WrappedStore

pytestmark = pytest.mark.anyio

SECRET = "a secret of more than 16 bytes"


def repository_of(store: SessionStore, clock: FakeClock) -> SessionRepository:
    return SessionRepository(Rows(store, Lifetimes(100), clock, Guard(store)), Successors([SECRET]))


class Overtaken(WrappedStore):
    """Another request writes before the first delete."""

    is_overtaken = False

    async def before(self, call: str) -> None:
        pass

    async def delete(self, key: str, version: object = None) -> bool:
        if not self.is_overtaken:
            self.is_overtaken = True
            row = await self.store.load(key)
            assert row is not None
            await self.store.replace(key, row.data + b" ", row.expires_at, row.version)
        return await self.store.delete(key, version)


async def test_a_rotation_that_leaves_nothing_deletes_what_is_there_by_then(clock: FakeClock) -> None:
    store = Overtaken(MemoryStore(clock=clock))
    repository = repository_of(store, clock)
    entry = await repository.create(repository.rows.new_header(), b"{}")
    assert await repository.rotate(entry, lambda theirs: None) is None
    assert store.is_overtaken
    assert await store.load(entry.header.key) is None


class Failing(WrappedStore):
    """Loads of `bad` fail, and let other loads be under way at that moment."""

    bad = ""

    async def before(self, call: str) -> None:
        await anyio.lowlevel.checkpoint()

    async def load(self, key: str) -> Stored | None:
        if key == self.bad:
            raise StoreUnavailable("away")
        return await super().load(key)


async def test_a_load_that_was_under_way_at_a_failure_notes_its_success(clock: FakeClock) -> None:
    store = Failing(MemoryStore(clock=clock))
    repository = repository_of(store, clock)
    good, bad = await repository.create(repository.rows.new_header(), b"{}"), new_id()
    store.bad = key_of(bad)
    async with anyio.create_task_group() as group:
        group.start_soon(repository.get, good.session_id)
        await anyio.lowlevel.checkpoint()
        with pytest.raises(StoreUnavailable):
            await repository.get(bad)
        assert repository.rows.guard.failing
    assert not repository.rows.guard.failing


async def test_a_save_that_was_under_way_at_a_failure_notes_its_success(clock: FakeClock) -> None:
    store = Failing(MemoryStore(clock=clock))
    repository = repository_of(store, clock)
    made, bad = await repository.create(repository.rows.new_header(), b"{}"), new_id()
    entry = await repository.rows.read(made.session_id)
    assert isinstance(entry, Entry)
    guard, store.bad = repository.rows.guard, key_of(bad)
    async with anyio.create_task_group() as group:
        group.start_soon(repository.rows.replace, entry, entry._replace(body=b'{"a":1}'))
        await anyio.lowlevel.checkpoint()
        guard.failed("replace", key_of(bad), StoreUnavailable("away"))
        assert guard.failing
    assert not guard.failing


def test_a_replaced_id_shows_no_key() -> None:
    assert repr(Replaced("a" * 32)) == "Replaced()"
