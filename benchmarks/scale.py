"""Measure larger sessions, a million of them, those of one user among them, and a million that have expired."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import uvloop
from anyio.to_thread import run_sync

from starlette_sessions_ext import SessionStore
from starlette_sessions_ext.serializers import JSONSerializer

from . import cleanup, operations, owners, seed, workers
from .report import Findings, Ratio, Table, Target
from .schedule import Figures, show, turns
from .seed import Place
from .services import Services, running_services

OPERATIONS = ("load", "replace")
PAYLOADS = {"0.1 kB": 100, "1 kB": 1_000, "10 kB": 10_000, "100 kB": 100_000}
DAY = 24 * 60 * 60

# The data fits into memory, as that of a server for sessions should. Nothing but the store collects what has expired.
MARIADB = ("--innodb-buffer-pool-size=2G", "--innodb-log-file-size=512M")
MONGO = ("--setParameter", "ttlMonitorEnabled=false")


class Row(NamedTuple):
    """`amount` is a payload's name, or how many sessions there are."""

    store: str
    operation: str
    amount: str


def measure(quick: bool, folder: Path) -> Findings:
    sizes = (1_000, 5_000, 20_000) if quick else (1_000, 100_000, 1_000_000)
    with running_services(folder, MARIADB, MONGO) as services:
        found = uvloop.run(_measure(services, sizes, folder, quick))
        on_workers = workers.measure(services, folder, quick)
    parts = [*found, on_workers]
    return Findings(
        [table for part in parts for table in part.tables], [target for part in parts for target in part.targets]
    )


async def _measure(services: Services, sizes: Sequence[int], folder: Path, quick: bool) -> list[Findings]:
    async with AsyncExitStack() as stack:
        filled = {}
        for number, size in enumerate(sizes):
            filled[f"{size:,}"] = places = seed.places(services, number, folder)
            await _fill(places, size, stack)
        small = filled[f"{sizes[0]:,}"]
        payloads = await _measure_payloads({name: place.store for name, place in small.items()}, quick)
        counts = await _measure_counts(filled, quick)
        of_users = await owners.measure(filled, quick)
    expired = sizes[1] if quick else sizes[-1]
    collected = await cleanup.measure(seed.places(services, len(sizes), folder), expired, quick)
    return [payloads, counts, of_users, collected]


async def _fill(places: Mapping[str, Place], size: int, stack: AsyncExitStack) -> None:
    rows = list(seed.rows("row", size, operations.BODY, int(time.time()) + DAY))
    for name, (store, fill_with) in places.items():
        show(f"scale: {size:,} sessions into {name}")
        await stack.enter_async_context(store)
        await run_sync(fill_with, rows)


async def _measure_payloads(stores: Mapping[str, SessionStore], quick: bool) -> Findings:
    bodies = {name: JSONSerializer().dumps({"text": "x" * size}) for name, size in PAYLOADS.items()}
    keys = {
        (name, amount): await operations.create(store, 50, body)
        for name, store in stores.items()
        for amount, body in bodies.items()
    }
    rows = [Row(name, operation, amount) for name in stores for operation in OPERATIONS for amount in PAYLOADS]
    figures = Figures[Row]()
    for turn in turns(rows, 1 if quick else 7, "scale, payloads", warm_up=not quick):
        name, operation, amount = turn.row
        sample = keys[name, amount]
        figures.add(turn, **await _operate(operation, stores[name], sample, bodies[amount]))
    note = "one at a time; MariaDB, PostgreSQL and SQLite sync every commit, MongoDB its journal"
    return Findings([_table("payloads", "Payloads", rows, figures, "1 kB", note)])


async def _measure_counts(filled: Mapping[str, Mapping[str, Place]], quick: bool) -> Findings:
    least, *_, most = filled
    rows = [Row(name, operation, count) for name in filled[least] for operation in OPERATIONS for count in filled]
    figures = Figures[Row]()
    for turn in turns(rows, 1 if quick else 7, "scale, sessions", warm_up=not quick):
        name, operation, count = turn.row
        numbers = random.sample(range(1, int(count.replace(",", "")), 2), 100)  # of no user
        sample = [seed.key_of_row("row", number) for number in numbers]
        figures.add(turn, **await _operate(operation, filled[count][name].store, sample, operations.BODY))
    note = (
        "one at a time, by random keys; MariaDB's buffer pool holds all of it, PostgreSQL's and the system's cache too"
    )
    table = _table("sessions", "Sessions in the store", rows, figures, least, note)
    return Findings([table], _targets(figures, filled[least], least, most))


async def _operate(operation: str, store: SessionStore, keys: Sequence[str], body: bytes) -> dict[str, float]:
    if operation == "load":
        return await operations.load(store, keys, 1)
    return await operations.replace(store, store, keys, 1, body)


def _table(name: str, title: str, rows: Sequence[Row], figures: Figures[Row], base: str, note: str) -> Table:
    head = ("store", "operation", "amount", "p50 ms", "p99 ms", f"p50 to {base}")
    table = Table(name, title, head, "p50 ms", [note])
    for row in rows:
        ratio = Ratio(figures.ratio("p50", row, row._replace(amount=base)))
        table.rows.append((*row, figures.of(row, "p50"), figures.of(row, "p99"), ratio))
    return table


def _targets(figures: Figures[Row], stores: Iterable[str], least: str, most: str) -> Iterator[Target]:
    for name in stores:
        for operation in OPERATIONS:
            ratio = figures.ratio("p50", Row(name, operation, most), Row(name, operation, least))
            yield Target(
                f"{operation}, {name}: p50 with {most} sessions at most 1.3x that with {least}", ratio, most=1.3
            )
