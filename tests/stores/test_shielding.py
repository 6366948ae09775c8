"""Operations that end by themselves, whatever happens to their callers."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from starlette_sessions_ext import StoreTimeout
from starlette_sessions_ext.stores._support.shielding import DetachedTasks, shielded

from ..support.asyncio_only import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio


class Store:
    """Its one operation takes as long as the test wants, and notes in `log` what became of it."""

    def __init__(self) -> None:
        self._timeout = 60.0
        self._detached = DetachedTasks()
        self.log: list[str] = []
        self.gate = asyncio.Event()

    def _timeout_error(self) -> StoreTimeout:
        return StoreTimeout("the store didn't answer")

    @shielded
    async def work(self, key: str, name: str) -> str:
        self.log.append(f"{name} begins")
        try:
            await self.gate.wait()
            if name == "fails":
                raise ValueError(name)
        except asyncio.CancelledError:
            self.log.append(f"{name} was cancelled")
            raise
        self.log.append(f"{name} ends")
        return name


async def test_what_is_done_is_returned_and_what_fails_is_raised() -> None:
    store = Store()
    store.gate.set()
    assert await store.work("key", "one") == "one"
    with pytest.raises(ValueError, match="fails"):
        await store.work("key", "fails")
    assert await store._detached.wait_all(None, 0)


async def test_a_key_that_is_named_is_waited_for_as_well() -> None:
    store = Store()
    async with anyio.create_task_group() as group:
        group.start_soon(store.work, "key", "one")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: store.work(name="two", key="key"))
        await anyio.wait_all_tasks_blocked()
        assert store.log == ["one begins"]
        store.gate.set()
    assert store.log == ["one begins", "one ends", "two begins", "two ends"]


async def test_callers_who_are_cancelled_leave_their_work_to_its_end() -> None:
    store = Store()
    async with anyio.create_task_group() as group:
        for name in ("one", "two", "fails"):
            group.start_soon(store.work, "key", name)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert store.log == ["one begins", "two begins", "fails begins"]
    next_one = asyncio.create_task(store.work("key", "three"))
    assert await asyncio.wait_for(asyncio.shield(_opened(store, "other")), 60) == "other"
    assert await next_one == "three"
    ends = ["one ends", "two ends"]
    assert [line for line in store.log if line in (*ends, "three begins")] == [*ends, "three begins"]
    assert await store._detached.wait_all(None, 0)


async def _opened(store: Store, name: str) -> str:
    """Work on another key, which waits for nobody's, and lets the others go on."""
    await anyio.wait_all_tasks_blocked()
    assert "three begins" not in store.log
    store.gate.set()
    return await store.work("another key", name)


async def test_nobody_waits_for_longer_than_the_timeout() -> None:
    store = Store()
    store._timeout = 0.01
    for name in ("one", "two"):
        with pytest.raises(StoreTimeout):
            await store.work("key", name)
    assert store.log == ["one begins"], "the second didn't get past the first"
    assert not await store._detached.wait_all(None, 0)
    store._timeout = 60.0
    store.gate.set()
    assert await store.work("key", "three") == "three"
    assert await store._detached.wait_all(None, 0)


def test_what_another_event_loop_left_isnt_waited_for() -> None:
    store = Store()

    async def leave() -> None:
        with anyio.move_on_after(0.01):
            await store.work("key", "one")

    async def work() -> str:
        store.gate = asyncio.Event()
        store.gate.set()
        return await store.work("key", "two")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    assert asyncio.run(work()) == "two"
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
    loop.close()
