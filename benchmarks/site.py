"""What a large site needs, by the cost of a session: the arithmetic of docs/capacity.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .report import Table

USERS, REQUESTS, WRITES = 10_000_000, 100_000, 0.1
"""Signed-in users, requests a second, and the share of the requests that change their session."""

BUSY = 0.5
"""The share of a processor that is planned for. The rest is for bursts, and for a server that is gone."""

PROCESSORS = 8
"""Of a single database server."""


class Cost(NamedTuple):
    """The bytes of a session, and microseconds of a processor for a request: in the application, and in the server."""

    bytes: float
    here: float
    there: float


def mixed(load: float, replace: float) -> float:
    """Return what a request costs on the average. Each loads its session; some of them replace it."""
    return load + WRITES * replace


def example(costs: Mapping[str, Cost]) -> Table:
    notes = (
        f"{WRITES:.0%} of the requests change their session; a processor is planned to be {BUSY:.0%} busy",
        f"a single server has {PROCESSORS} processors; its disk has to sync the commits as well",
    )
    title = f"{USERS:,} signed-in users, {REQUESTS:,} requests a second"
    table = Table("capacity-example", title, ("with", "what", "needs", "because"), "", notes)
    table.rows.extend(_cluster(costs["Redis"]))
    for name in ("PostgreSQL", "Database", "HandlerSocket"):
        table.rows.extend(_single(name, costs[name]))
    return table


def _cluster(cost: Cost) -> Iterator[tuple[str, str, str, str]]:
    name, seconds = "a Redis Cluster", REQUESTS * cost.there / 1e6
    yield name, "memory", _gigabytes(USERS * cost.bytes), f"{cost.bytes:,.0f} bytes for each user"
    yield name, "memory with a replica", _gigabytes(2 * USERS * cost.bytes), "each primary and its replica hold all"
    yield name, "primaries", f"{math.ceil(seconds / BUSY)}", f"{cost.there:.1f} us a request, one processor each"
    processors = math.ceil(REQUESTS * cost.here / 1e6 / BUSY)
    yield name, "processors for store calls in the workers", f"{processors}", f"{cost.here:.0f} us a request"


def _single(name: str, cost: Cost) -> Iterator[tuple[str, str, str, str]]:
    requests = PROCESSORS * BUSY * 1e6 / cost.there
    yield f"one server, {name}", "disk", _gigabytes(USERS * cost.bytes), f"{cost.bytes:,.0f} bytes for each user"
    yield f"one server, {name}", "reaches", f"{round(requests, -3):,.0f} requests/s", f"{cost.there:.0f} us a request"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
