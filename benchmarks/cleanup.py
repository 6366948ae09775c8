"""Measure how long requests wait while expired sessions are collected.

Eight clients load a session every 20 ms, and replace every fourth. It is the same in every turn, and
far from what the store can do, so that only what is in their way shows. Turns with and without
collecting follow each other in changing order, until all that has expired is collected: by the
process that asks, which is worse for it than a `sessions-ext gc` in another process. Behind a collection
there is a rest, so that what a server then clears up doesn't fall into a turn without one.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from statistics import quantiles
from typing import NamedTuple

from anyio.to_thread import run_sync

from starlette_sessions_ext import SessionStore

from . import operations, seed
from .report import Cell, Findings, Ratio, Table, Target
from .schedule import Figures, show, turns
from .seed import Place

NOTHING, CLEANUP = "nothing", "cleanup"
CLIENTS = 8
EVERY = 0.02  # seconds
REST = 2  # seconds
STORES = ("SQLite", "HandlerSocket", "Database", "PostgreSQL", "Mongo")
"""Redis collects expired rows without being asked, and memory as it is written to."""


class Row(NamedTuple):
    store: str
    background: str


async def measure(places: Mapping[str, Place], expired: int, quick: bool) -> Findings:
    rounds = 1 if quick else 5
    figures = Figures[Row]()
    stores = {name: places[name].store for name in STORES}
    keys = {}
    gone = list(seed.rows("expired", expired, operations.BODY, int(time.time()) - 10))
    for name, store in stores.items():
        await store.open()
        show(f"scale: {expired:,} expired sessions into {name}")
        await run_sync(places[name].fill, gone)
        keys[name] = await operations.create(store, 1000)
    rows = [Row(name, background) for name in stores for background in (NOTHING, CLEANUP)]
    for turn in turns(rows, rounds, "scale, cleanup", warm_up=False):
        work = _collect if turn.row.background == CLEANUP else _wait
        figures.add(turn, **await _take_turn(stores[turn.row.store], keys[turn.row.store], work, expired // rounds))
        if turn.row.background == CLEANUP:
            await asyncio.sleep(REST)
    for store in stores.values():
        await store.aclose()
    return Findings([_table(rows, figures, expired)], _targets(stores, figures))


async def _collect(store: SessionStore, count: int) -> None:
    left = count
    while left > 0:
        if not (removed := await store.delete_expired(min(1000, left))):
            raise RuntimeError("less has expired than was put there")
        left -= removed


async def _wait(store: SessionStore, count: int) -> None:
    await asyncio.sleep(max(1, count / 40_000))


async def _take_turn(
    store: SessionStore, keys: Sequence[str], work: Callable[[SessionStore, int], Awaitable[None]], count: int
) -> dict[str, float]:
    """Ask while the work is under way; milliseconds, and how many rows a second were worked on."""
    took: list[float] = []
    done = asyncio.Event()
    clients = [_ask(store, keys[number::CLIENTS], took, done) for number in range(CLIENTS)]
    asking = asyncio.gather(*clients)
    started = time.perf_counter()
    await work(store, count)
    rate = count / (time.perf_counter() - started)
    done.set()
    await asking
    percentiles = quantiles(took, n=100)
    return {"p50": percentiles[49] * 1000, "p99": percentiles[98] * 1000, "rate": rate}


async def _ask(store: SessionStore, keys: Sequence[str], took: list[float], done: asyncio.Event) -> None:
    """Load these sessions again and again, and replace every fourth; seconds that it took go to `took`."""
    for number, key in enumerate(itertools.cycle(keys)):
        if done.is_set():
            return
        before = time.perf_counter()
        stored = await store.load(key)
        took.append(time.perf_counter() - before)
        if stored is None:
            raise RuntimeError("a session was lost")
        if number % 4 == 0:
            data, expires_at = operations.encoded(key), int(time.time()) + operations.LIFETIME
            before = time.perf_counter()
            if not await store.replace(key, data, expires_at, stored.version):
                raise RuntimeError("a session was changed by no request")
            took.append(time.perf_counter() - before)
        await asyncio.sleep(EVERY)


def _table(rows: Sequence[Row], figures: Figures[Row], expired: int) -> Table:
    head = ("store", "in the background", "p50 ms", "p99 ms", "collected/s", "p99 to nothing")
    notes = (
        f"{expired:,} expired sessions, collected through delete_expired(1000) by the process that asks",
        f"{CLIENTS} clients load a session every {EVERY * 1000:.0f} ms, and replace every fourth",
    )
    table = Table("cleanup", "Requests while expired sessions are deleted", head, "p99 ms", notes)
    for row in rows:
        rate: Cell = figures.of(row, "rate") if row.background == CLEANUP else ""
        ratio = Ratio(figures.ratio("p99", row, Row(row.store, NOTHING)))
        table.rows.append((*row, figures.of(row, "p50"), figures.of(row, "p99"), rate, ratio))
    return table


def _targets(stores: Iterable[str], figures: Figures[Row]) -> Iterator[Target]:
    for name in stores:
        ratio = figures.ratio("p99", Row(name, CLEANUP), Row(name, NOTHING))
        yield Target(f"cleanup, {name}: p99 of requests at most 2x that without", ratio, most=2)
