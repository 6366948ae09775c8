"""The shared parts of the contract: fixtures, values, and calls.

Some calls run at once, others are cancelled.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ..._core.ids import key_of, new_id
from ...stores.base import SessionStore, Stored
from ..clock import FakeClock

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


class Fixtures:
    """An empty store, and the arguments of its calls."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    async def store(self, clock: FakeClock) -> Any:
        """Return an empty store that reads time from `clock`."""
        raise NotImplementedError("give the subclass of StoreContract a `store` fixture")

    @pytest.fixture
    def key(self) -> str:
        return key_of(new_id())

    @pytest.fixture
    def soon(self, clock: FakeClock) -> int:
        """Return a time an hour from now."""
        return int(clock()) + HOUR

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        """Let time pass for the store."""
        clock.advance(seconds)


async def load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


async def a_version(store: SessionStore, soon: int) -> Any:
    """Return a version that this store has given to another row."""
    key = key_of(new_id())
    await store.create(key, b"other", soon)
    return (await load(store, key)).version


Call = Callable[[], Coroutine[Any, Any, Any]]


def calling(method: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Call:
    return lambda: method(*arguments)


async def collect(call: Call, results: list[Any]) -> None:
    results.append(await call())


async def together(*calls: Call) -> list[Any]:
    """Run the calls at once; results in the order of the calls."""
    results: list[list[Any]] = [[] for _ in calls]
    async with anyio.create_task_group() as group:
        for call, result in zip(calls, results, strict=True):
            group.start_soon(collect, call, result)
    return [result[0] for result in results]


async def let_pass(count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def cancelled(ticks: int, call: Call) -> None:
    """Start the call, and cancel it some steps of the event loop later."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await let_pass(ticks)
        group.cancel_scope.cancel()
