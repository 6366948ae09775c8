"""Bytes and processor time of a signed-in session on each store, of which `site` makes a worked example."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop

from starlette_sessions_ext import (
    DatabaseStore,
    MemoryStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    SessionStore,
    SQLiteStore,
    SupportsOwners,
    store_from_url,
)
from starlette_sessions_ext._core.ids import key_of, new_id, new_nonce
from starlette_sessions_ext._core.owner import owner_of
from starlette_sessions_ext._core.record import Header
from starlette_sessions_ext._core.sign_in_details import describe, encode_details
from starlette_sessions_ext.serializers import JSONSerializer
from tests.support.servers import Server

from . import operations, site
from .apps import LIFETIME, SESSION
from .processor import processor_seconds
from .report import Findings, Table
from .schedule import Figure, Figures, turns
from .services import Services, running_services
from .sizes import SIZES

IN_FLIGHT = 64
PATIENCE = 60.0  # seconds: what is measured is work, and not how long it waits

_SCOPE = {
    "headers": [(b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")],
    "client": ("203.0.113.195", 50000),
}


class Place(NamedTuple):
    """A store, and the server that it is in, if there is one."""

    store: SessionStore
    server: Server | None


class Row(NamedTuple):
    operation: str
    store: str


def measure(quick: bool, folder: Path) -> Findings:
    with running_services(folder) as services:
        return uvloop.run(_measure(services, folder, quick))


async def _measure(services: Services, folder: Path, quick: bool) -> Findings:
    sessions, operated, rounds = (2_000, 1_000, 1) if quick else (50_000, 20_000, 3)
    figures, bytes_each, keys = Figures[Row](), dict[str, float](), dict[str, list[str]]()
    async with _places(services, folder) as places:
        for name, place in places.items():
            keys[name], bytes_each[name] = await _fill(name, place, sessions, services, folder)
        rows = [Row(operation, name) for name in places for operation in ("load", "replace")]
        for turn in turns(rows, rounds, "capacity", warm_up=not quick):
            operation, name = turn.row
            figures.add(turn, **await _operate(operation, places[name], keys[name][:operated]))
    note = f"{sessions:,} sessions of {len(record_of('k' * 32))} bytes, {IN_FLIGHT} operations in flight"
    costs = {name: _cost(name, size, figures) for name, size in bytes_each.items()}
    return Findings([_table(bytes_each, figures, note), site.example(costs)])


@asynccontextmanager
async def _places(services: Services, folder: Path) -> AsyncIterator[Mapping[str, Place]]:
    places = {
        "memory": Place(MemoryStore(max_entries=10**7, max_bytes=10**10), None),
        "SQLite": Place(SQLiteStore(folder / "capacity.db", timeout=PATIENCE), None),
        "Redis": Place(RedisStore(services.redis, timeout=PATIENCE), services.redis_server),
        "Valkey": Place(RedisStore(services.valkey, timeout=PATIENCE), services.valkey_server),
        "PostgreSQL": Place(PostgreSQLStore(services.postgresql, timeout=PATIENCE), services.postgresql_server),
        "Database": Place(DatabaseStore(services.database, timeout=PATIENCE), services.mariadb),
        "HandlerSocket": Place(store_from_url(services.handlersocket, timeout=PATIENCE), services.mariadb),
        "Mongo": Place(MongoStore(services.mongo, timeout=PATIENCE), services.mongo_server),
    }
    async with AsyncExitStack() as stack:
        for place in places.values():
            await stack.enter_async_context(place.store)
        yield places


def user_of(key: str) -> int:
    """Return another user for each key, with eight digits at most."""
    return int.from_bytes(key[:8].encode()) % 10**8


def record_of(key: str) -> bytes:
    """Return the bytes that the middleware stores for a signed-in user."""
    now = int(time.time())
    details = encode_details(describe, _SCOPE)
    body = JSONSerializer().dumps({**SESSION, "user": user_of(key)})
    return Header(key, now, now, None, key[:16], now * 1000, details).encode(new_nonce(), body)


async def _fill(name: str, place: Place, count: int, services: Services, folder: Path) -> tuple[list[str], float]:
    """Make signed-in sessions. Return their keys, and the bytes that each takes."""
    keys, expires_at = [key_of(new_id()) for _ in range(count)], int(time.time()) + LIFETIME
    store = place.store
    assert isinstance(store, SupportsOwners)

    async def create(key: str) -> bool:
        return await store.create(key, record_of(key), expires_at, owner_of(str(user_of(key))))

    if name == "memory":
        tracemalloc.start()
    try:
        empty = await SIZES[name](services, folder)
        await operations.timed(create, keys, IN_FLIGHT)
        return keys, (await SIZES[name](services, folder) - empty) / count
    finally:
        tracemalloc.stop()


async def _operate(operation: str, place: Place, keys: Sequence[str]) -> dict[str, float]:
    """Microseconds of processor time for each operation: of this process, and of the server."""
    run: Callable[[str], Awaitable[object]] = place.store.load
    if operation == "replace":
        run = await _replacing(place.store, keys)
    before = 0.0 if place.server is None else processor_seconds(place.server)
    here = (await operations.timed(run, keys, IN_FLIGHT))["cpu"]
    there = 0.0 if place.server is None else processor_seconds(place.server) - before
    return {"here": here, "there": there / len(keys) * 1e6}


async def _replacing(store: SessionStore, keys: Sequence[str]) -> Callable[[str], Awaitable[object]]:
    """Return what replaces each of these sessions, the version of which is looked up before."""
    found = {key: await store.load(key) for key in keys}
    rows = {key: (record_of(key), stored.version) for key, stored in found.items() if stored is not None}
    expires_at = int(time.time()) + LIFETIME
    assert isinstance(store, SupportsOwners)

    async def replace(key: str) -> bool:
        data, version = rows[key]
        return await store.replace(key, data, expires_at, version, owner_of(str(user_of(key))))

    return replace


def _cost(name: str, size: float, figures: Figures[Row]) -> site.Cost:
    load, replace = Row("load", name), Row("replace", name)
    return site.Cost(
        size,
        here=site.mixed(figures.of(load, "here").median, figures.of(replace, "here").median),
        there=site.mixed(figures.of(load, "there").median, figures.of(replace, "there").median),
    )


def _table(bytes_each: Mapping[str, float], figures: Figures[Row], note: str) -> Table:
    measured = [(operation, where) for operation in ("load", "replace") for where in ("here", "there")]
    head = ("store", "bytes", *(f"{operation}: us {where}" for operation, where in measured))
    notes = (
        note,
        "bytes: in memory for memory, Redis and Valkey; for the others on the disk, indexes included",
        "us: microseconds of a processor for one operation, here in the application's process and there in the server",
    )
    table = Table("capacity", "A signed-in session on each store", head, "bytes", notes)
    for name, size in bytes_each.items():
        cells = (figures.of(Row(operation, name), where) for operation, where in measured)
        table.rows.append((name, Figure(size, size, size), *cells))
    return table
