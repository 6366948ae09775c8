"""Measure loads and replaces through the stores, through their drivers alone, and the server's maximum.

Each event loop has separate rounds, in which all stores and drivers take turns.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
import uvloop

from starlette_sessions_ext import (
    DatabaseStore,
    MemoryStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    SessionStore,
    SQLiteStore,
)
from starlette_sessions_ext import store_from_url as by_url
from tests.support.mariadb_server import MariaDBServer, make_databases, running_mariadb

from . import drivers, operations
from .drivers import Subject
from .report import Cell, Findings, Ratio, Table, Target
from .schedule import Figures, turns
from .services import UNSYNCED, Services, running_services

SESSIONS = 1000
IN_FLIGHT = (1, 16, 64, 256)
PATIENCE = 60.0  # seconds: no operation may time out while a thousand wait for ten connections
LIMIT = "redis-benchmark"


class Row(NamedTuple):
    operation: str
    in_flight: int
    name: str


class Contender(NamedTuple):
    """`subject` is measured, on rows of `store`."""

    subject: Subject
    store: SessionStore


class Servers(NamedTuple):
    services: Services
    unsynced: MariaDBServer
    folder: Path


COMPARED = {
    "ours, SQLite": "sqlite3 in a thread",
    "ours, Redis": "redis-py",
    "ours, HandlerSocket": "HandlerSocket, no pipeline",
    "ours, Database": "asyncmy",
    "ours, PostgreSQL": "asyncpg",
    "ours, Mongo": "pymongo",
    "ours, HandlerSocket, unsynced": "ours, Database, unsynced",
    LIMIT: "redis-py",
}
"""With what a row is compared: a store with its driver, mostly."""


def measure(quick: bool, folder: Path) -> Findings:
    loops = {"uvloop": uvloop.run} if quick else {"asyncio": asyncio.run, "uvloop": uvloop.run}
    tables, targets = [], list[Target]()
    own = folder / "unsynced"
    own.mkdir()
    with running_services(folder) as services, running_mariadb(own, *UNSYNCED) as unsynced:
        make_databases(unsynced)
        for loop, run in loops.items():
            rows, figures = run(_measure(loop, Servers(services, unsynced, folder), quick))
            tables.append(_table(loop, rows, figures, quick))
            targets += _targets(loop, figures)
    return Findings(tables, targets)


async def _measure(loop: str, servers: Servers, quick: bool) -> tuple[list[Row], Figures[Row]]:
    figures = Figures[Row]()
    sessions = SESSIONS // 4 if quick else SESSIONS
    async with contenders(servers) as present:
        keys = {store: await operations.create(store, sessions) for store in {one.store for one in present.values()}}
        for one in present.values():
            await operations.load(one.subject, keys[one.store], max(IN_FLIGHT))  # makes its connections
        rows = _rows(present, (1, 64) if quick else IN_FLIGHT)
        for turn in turns(rows, 1 if quick else 7, f"stores, {loop}", warm_up=not quick):
            if turn.row.name == LIMIT:
                figures.add(turn, **await _redis_benchmark(servers.services.redis, turn.row, sessions))
            else:
                contender = present[turn.row.name]
                few = sessions // 5 if turn.row.in_flight == 1 else sessions
                figures.add(turn, **await _take_turn(contender, turn.row, keys[contender.store][:few]))
    return rows, figures


def _rows(present: dict[str, Contender], in_flight: Sequence[int]) -> list[Row]:
    """The burst is one of all sessions at once: more clients than redis-benchmark is made for."""
    kinds = [(operation, count) for operation in ("load", "replace") for count in in_flight]
    rows = [Row(*kind, name) for kind in kinds for name in (*present, LIMIT)]
    return rows + [Row("burst", SESSIONS, name) for name in present]


@asynccontextmanager
async def contenders(servers: Servers) -> AsyncIterator[dict[str, Contender]]:
    """Every store and every driver, by what the table calls them."""
    services, unsynced, folder = servers
    stores: dict[str, SessionStore] = {
        "ours, memory": MemoryStore(),
        "ours, SQLite": SQLiteStore(folder / "stores.db", timeout=PATIENCE),
        "ours, Redis": RedisStore(services.redis, timeout=PATIENCE),
        "ours, HandlerSocket": by_url(services.handlersocket, timeout=PATIENCE),
        "ours, Database": DatabaseStore(services.database, timeout=PATIENCE),
        "ours, PostgreSQL": PostgreSQLStore(services.postgresql, timeout=PATIENCE),
        "ours, Mongo": MongoStore(services.mongo, timeout=PATIENCE),
        "ours, HandlerSocket, unsynced": by_url(unsynced.handlersocket_url("fresh"), timeout=PATIENCE),
        "ours, Database, unsynced": DatabaseStore(unsynced.url("fresh"), timeout=PATIENCE),
    }
    naked = {
        "ours, SQLite": drivers.sqlite_thread(folder / "stores.db"),
        "ours, Redis": drivers.redis_py(services.redis),
        "ours, HandlerSocket": drivers.handlersocket_client(services.mariadb),
        "ours, Database": drivers.asyncmy_pool(services.database),
        "ours, PostgreSQL": drivers.asyncpg_pool(services.postgresql),
        "ours, Mongo": drivers.pymongo(services.mongo),
    }
    async with AsyncExitStack() as stack:
        present = {name: Contender(await stack.enter_async_context(store), store) for name, store in stores.items()}
        for name, driver in naked.items():
            present[COMPARED[name]] = Contender(await stack.enter_async_context(driver), stores[name])
        yield present


async def _take_turn(contender: Contender, row: Row, keys: Sequence[str]) -> dict[str, float]:
    if row.operation == "load":
        return await operations.load(contender.subject, keys, row.in_flight)
    return await operations.replace(*contender, keys, row.in_flight)


async def _redis_benchmark(url: str, row: Row, count: int) -> dict[str, float]:
    """GET and SET of this many bytes, the least that a load and a replace could be."""
    size = str(len(operations.encoded("a" * 32)))
    command = ["redis-benchmark", "-u", url, "-t", "set,get", "-d", size, "-n", str(10 * count), "--csv"]
    output = (await anyio.run_process([*command, "-c", str(row.in_flight)])).stdout.decode()
    results = {result["test"]: result for result in csv.DictReader(output.splitlines())}
    result = results["GET" if row.operation == "load" else "SET"]
    names = {"rate": "rps", "p50": "p50_latency_ms", "p99": "p99_latency_ms"}
    return {name: float(result[theirs]) for name, theirs in names.items()}


def _table(loop: str, rows: Sequence[Row], figures: Figures[Row], quick: bool) -> Table:
    head = ("operation", "store or driver", "operations/s", "p50 ms", "p99 ms", "CPU us", "ratio", "to")
    sessions, size = SESSIONS // 4 if quick else SESSIONS, len(operations.encoded("a" * 32))
    notes = (
        f"{loop}; {sessions} sessions of {size} bytes; a burst replaces all of them at once",
        "MariaDB (but where it says unsynced), PostgreSQL and SQLite sync every commit, MongoDB its journal",
        "Redis keeps nothing on disk; CPU us is what this process's processor takes for an operation",
    )
    table = Table(f"stores-{loop}", f"Stores and drivers, {loop}", head, "operations/s", notes)
    for row in rows:
        title = "burst" if row.operation == "burst" else f"{row.operation}, {row.in_flight} in flight"
        other = COMPARED.get(row.name)
        compared: tuple[Cell, Cell] = ("", "")
        if other is not None:
            compared = Ratio(figures.ratio("rate", row, row._replace(name=other))), other
        measured = (figures.of(row, name) for name in ("rate", "p50", "p99"))
        cpu: Cell = "" if row.name == LIMIT else figures.of(row, "cpu")
        table.rows.append((title, row.name, *measured, cpu, *compared))
    return table


def _targets(loop: str, figures: Figures[Row]) -> Iterator[Target]:
    def ratio(operation: str, in_flight: int, name: str, other: str) -> float:
        return figures.ratio("rate", Row(operation, in_flight, name), Row(operation, in_flight, other))

    for name in ("SQLite", "Redis", "HandlerSocket", "Database", "PostgreSQL", "Mongo"):
        driver = COMPARED[f"ours, {name}"]
        measured = ratio("load", 64, f"ours, {name}", driver)
        yield Target(f"load, 64 in flight, {loop}: {name} 0.8x {driver}", measured, least=0.8)
    replaced = ratio("replace", 64, "ours, PostgreSQL", "asyncpg")
    yield Target(f"replace, 64 in flight, {loop}: PostgreSQL 0.8x asyncpg", replaced, least=0.8)
    for synced in ("", ", unsynced"):
        names = (f"ours, HandlerSocket{synced}", f"ours, Database{synced}")
        load, burst = ratio("load", 64, *names), ratio("burst", SESSIONS, *names)
        yield Target(f"load, 64 in flight, {loop}{synced}: HandlerSocket 2x Database", load, least=2)
        yield Target(f"burst of replaces, {loop}{synced}: HandlerSocket 5x Database", burst, least=5)
