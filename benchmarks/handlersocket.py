"""HandlerSocketStore beside DatabaseStore: one server, one run, both through the API of all stores.

    scripts/bench handlersocket

Rounds of both stores take turns, so that whatever else the machine does hits both; medians are
compared, the smallest and largest of the rounds are shown. The server is a real MariaDB that the
run starts, once as the deployment contract wants it (every commit is synced to disk) and once
without syncs, where what is measured is the way to the server and back.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import uvloop

from starlette_sessions_ext import DatabaseStore, SessionStore, store_from_url
from starlette_sessions_ext.ids import key_of, new_id, new_nonce
from starlette_sessions_ext.record import Record
from tests.mariadb_server import MariaDBServer, make_databases, running_mariadb

ROUNDS = 7
SESSIONS = 1000
LOADS = 4000
IN_FLIGHT = 64
BODY = b'{"user":42,"cart":["tea","cups"],"theme":"dark","csrf":"' + b"x" * 200 + b'"}'
LIFETIME = 3600

DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync")
UNSYNCED = ("--innodb-flush-log-at-trx-commit=2",)

Work = Callable[[SessionStore, list[str]], Awaitable[float]]
"""Does one round of work with these keys, and says how many operations a second it did."""


def encoded(key: str) -> bytes:
    now = int(time.time())
    return Record(key, now, now, None, BODY).encode(new_nonce())


async def load(store: SessionStore, keys: list[str]) -> float:
    """Loads with 64 under way."""
    left = iter(keys * (LOADS // len(keys)))

    async def worker() -> None:
        for key in left:
            assert await store.load(key) is not None

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return LOADS / (time.perf_counter() - started)


async def replace(store: SessionStore, keys: list[str]) -> float:
    """A burst: a replace of each session, all at once."""
    rows = [(key, encoded(key), row.version) for key in keys if (row := await store.load(key))]
    expires_at = int(time.time()) + LIFETIME
    started = time.perf_counter()
    done = await asyncio.gather(*(store.replace(key, data, expires_at, version) for key, data, version in rows))
    assert all(done)
    return len(keys) / (time.perf_counter() - started)


WORK: dict[str, Work] = {"load, 64 in flight": load, "burst of 1 000 replaces": replace}


async def measure(server: MariaDBServer, title: str) -> None:
    stores = {
        "HandlerSocket": store_from_url(server.handlersocket_url("fresh"), timeout=30),
        "Database": DatabaseStore(server.url("fresh"), timeout=30),
    }
    keys = [key_of(new_id()) for _ in range(SESSIONS)]
    figures: dict[tuple[str, str], list[float]] = {}
    for store in stores.values():
        await store.open()
        expires_at = int(time.time()) + LIFETIME
        await asyncio.gather(*(store.create(key, encoded(key), expires_at) for key in keys))
    for number in range(1 + ROUNDS):
        print(f"\r{title}: round {number} of {ROUNDS} ...", end="", file=sys.stderr, flush=True)
        for name, work in WORK.items():
            for place, store in stores.items():
                figure = await work(store, keys)
                if number:  # the first round warms up
                    figures.setdefault((name, place), []).append(figure)
    print("\r\033[K", end="", file=sys.stderr)
    for store in stores.values():
        await store.aclose()
    report(title, figures)


def report(title: str, figures: dict[tuple[str, str], list[float]]) -> None:
    print(f"{title}\n{'':26}{'HandlerSocket /s':>26}{'Database /s':>26}{'ratio':>8}")
    for name in WORK:
        ours, theirs = figures[name, "HandlerSocket"], figures[name, "Database"]
        print(f"{name:26}{spread(ours):>26}{spread(theirs):>26}{median(ours) / median(theirs):7.1f}x")


def spread(figures: list[float]) -> str:
    return f"{median(figures):,.0f} ({min(figures):,.0f}-{max(figures):,.0f})"


def main() -> None:
    for title, options in (("every commit synced", DURABLE), ("no syncs", UNSYNCED)):
        with tempfile.TemporaryDirectory() as folder, running_mariadb(Path(folder), *options) as server:
            make_databases(server)
            for loop, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
                run(measure(server, f"{title}, {loop}"))


if __name__ == "__main__":
    main()
