"""Print a long run line by line: a head, a row for each store and fault, the sum, and the environment."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from pymongo import MongoClient
from redis import Redis

from tests.support.mariadb_server import MariaDBServer
from tests.support.mongo_server import MongoServer
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.redis_server import RedisServer
from tests.support.servers import Server

from .calls import Harm
from .faults import FAULTS
from .phases import Phase, sum_up

_HEAD = ("store", "fault", "times", "operations", "acknowledged", "normal after", *Harm, "errors")
_NAMES = (max(map(len, FAULTS)), max(len(fault.__name__) for faults in FAULTS.values() for fault in faults))
_WIDTHS = (*_NAMES, *map(len, _HEAD[2:]))


def head() -> str:
    return _line(_HEAD)


def row(store: str, phase: Phase) -> str:
    """The errors come last, as their length isn't known."""
    numbers = (phase.times, phase.operations, phase.acknowledged)
    harm = (phase.harm[kind] for kind in Harm)
    errors = " ".join(f"{number}x{status or 'none'}" for status, number in sorted(phase.errors.items()))
    return _line(
        (store, phase.fault, *map(str, numbers), f"{phase.normal_after:.1f} s", *map(str, harm), errors or "0")
    )


def total(phases: Iterable[Phase]) -> str:
    [everything] = sum_up(replace(phase, fault="all") for phase in phases)
    return row("all", everything)


def foot(seconds: float, servers: Iterable[str]) -> str:
    """Return the duration, and the versions in use."""
    minutes, rest = divmod(round(seconds), 60)
    versions = (f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", *servers)
    return f"{minutes} min {rest} s on {os.cpu_count()} cores; {', '.join(dict.fromkeys(versions))}"


def version(server: Server) -> str:
    """As a running server says it."""
    if isinstance(server, MariaDBServer):
        return f"MariaDB {server.run('SELECT VERSION()').split()[-1].partition('-')[0]}"
    if isinstance(server, PostgreSQLServer):
        return f"PostgreSQL {server.run('SHOW server_version').split()[0]}"
    if isinstance(server, RedisServer):
        with Redis.from_url(server.url) as redis:
            return f"Redis {redis.info('server')['redis_version']}"
    assert isinstance(server, MongoServer)
    with MongoClient[dict[str, str]](server.url) as mongo:
        return f"MongoDB {mongo.server_info()['version']}"


def _line(cells: Iterable[str]) -> str:
    """Words to the left, numbers to the right."""
    aligned = (
        cell.ljust(width) if place < len(_NAMES) or place == len(_WIDTHS) - 1 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "  ".join(aligned).rstrip()
