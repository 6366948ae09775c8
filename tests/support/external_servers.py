"""A database of the tests' own on a server outside of the tests. CONTRIBUTING.md says how to name one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient
from redis import Redis

from . import postgresql_server
from .mariadb_server import MIGRATIONS, run_sql


@contextmanager
def redis_database(url: str) -> Iterator[str]:
    """The database that the URL numbers, or for another worker of the run one of the next; it has to be empty."""
    parts = urlsplit(url)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = parts._replace(path=f"/{int(parts.path.strip('/') or 0) + worker}").geturl()
    with Redis.from_url(own) as client:
        if client.dbsize():
            raise RuntimeError(f"database {own.rpartition('/')[2]} of SESSIONS_TEST_REDIS isn't empty: name another")
        yield own
        client.flushdb()


@contextmanager
def mysql_database(url: str) -> Iterator[str]:
    name = _new_name()
    own = urlsplit(url)._replace(path=f"/{name}").geturl()
    run_sql(urlsplit(url)._replace(path="").geturl(), f"CREATE DATABASE {name}")
    try:
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            run_sql(own, migration.read_text())
        yield own
    finally:
        run_sql(own, f"DROP DATABASE {name}")


@contextmanager
def postgresql_database(url: str) -> Iterator[str]:
    name = _new_name()
    own = urlsplit(url)._replace(path=f"/{name}").geturl()
    postgresql_server.run_sql(url, f"CREATE DATABASE {name}")
    try:
        postgresql_server.migrate(own)
        yield own
    finally:
        postgresql_server.run_sql(url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def mongo_database(url: str) -> Iterator[str]:
    name = _new_name()
    with MongoClient[Any](url) as client:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
        client.drop_database(name)


def _new_name() -> str:
    return f"sessions_test_{secrets.token_hex(4)}"
