"""Many parallel writers of one session: they take turns, and all are saved."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import MemoryStore
from starlette_sessions_ext._core.write_queues import WriteQueues
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.handlers import put, view
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio

WRITERS = 260


class SlowStore(CountingStore):
    """Lets other tasks run at each call."""

    async def before(self, call: str) -> None:
        await super().before(call)
        await anyio.lowlevel.checkpoint()


async def test_writers_of_one_session_wait_for_each_other(clock: FakeClock) -> None:
    """Each loads once more when its turn comes. Racing each other would cost tens of thousands of calls."""
    store = SlowStore(MemoryStore(clock=clock))
    browser = Browser(make_app(store, {"/put": put, "/": view}, clock=clock))
    await browser.get("/put?a=0")
    store.calls.clear()
    async with anyio.create_task_group() as group:
        for number in range(WRITERS):
            group.start_soon(browser.tab().get, f"/put?key{number}={number}")
    saved = (await browser.get("/")).json()
    assert saved == {"a": "0", **{f"key{number}": str(number) for number in range(WRITERS)}}
    assert store.calls.count("replace") == WRITERS, "no compare-and-swap is lost"
    assert store.calls.count("load") == 2 * WRITERS, "one of the request, one when its turn comes, one to look"


async def test_turns_are_taken_in_order_and_forgotten() -> None:
    turns, order = WriteQueues(), list[int]()

    async def writer(number: int) -> None:
        async with turns.turn("key"):
            assert not turns.is_alone("key")
            assert turns.is_alone("other")
            await anyio.lowlevel.checkpoint()
            order.append(number)

    assert turns.is_alone("key")
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(writer, number)
            await anyio.lowlevel.checkpoint()
    assert order == sorted(order)
    assert turns.is_alone("key")
    assert turns.queues == {}


async def test_a_writer_that_is_cancelled_leaves_the_queue() -> None:
    turns = WriteQueues()

    async def writer() -> None:
        async with turns.turn("key"):
            raise AssertionError("two at a time")

    async with turns.turn("key"):
        async with anyio.create_task_group() as group:
            group.start_soon(writer)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert turns.queues == {}
