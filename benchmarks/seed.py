"""A hundred thousand sessions and more, put where a store reads them, in the way each database takes most at once."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, NamedTuple

from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from pymongo import MongoClient

from starlette_sessions_ext import (
    DatabaseStore,
    MemoryStore,
    MongoStore,
    PostgreSQLStore,
    RedisStore,
    SessionStore,
    SQLiteStore,
    store_from_url,
)
from starlette_sessions_ext._core.ids import key_of
from starlette_sessions_ext._core.owner import owner_of
from starlette_sessions_ext.stores.handlersocket.columns import to_time
from starlette_sessions_ext.stores.redis import rows as redis_rows
from tests.support import postgresql_server
from tests.support.mariadb_server import MIGRATIONS, run_sql

from .drivers import HOUR, WEEKS
from .operations import encoded
from .services import Services


class Row(NamedTuple):
    """One session. `expires_at` is in unix seconds; `owner` is None where nobody has signed in."""

    key: str
    data: str
    expires_at: int
    owner: str | None


def rows(name: str, count: int, body: bytes, expires_at: int, user: str | None = None) -> Iterator[Row]:
    """Make `count` sessions of `user`; without it every other one is of the user whom `user_of_row` names.

    `key_of_row` gives their keys. Fifty expire in each second up to `expires_at`. As it is with real
    ones, what expires together is scattered over the keys.
    """
    for number in range(count):
        expiry = expires_at - (count - number) // 50
        its = user or user_of_row(name, number)
        owner = None if its is None else owner_of(its)
        yield Row(key := key_of_row(name, number), encoded(key, body).decode(), expiry, owner)


def key_of_row(name: str, number: int) -> str:
    return key_of(f"{name} {number}")


def user_of_row(name: str, number: int) -> str | None:
    """Return the user of a session; each has five, and odd numbers have none."""
    return f"{name} {number // 10}" if number % 2 == 0 else None


class Place(NamedTuple):
    """A store that nothing else is in, and what puts rows into it."""

    store: SessionStore
    fill: Callable[[Iterable[Row]], None]


def places(services: Services, number: int, folder: Path) -> dict[str, Place]:
    """One of every kind; what has another number is another one."""
    name = f"bench_{number}"
    services.mariadb.run(f"CREATE DATABASE {name}")
    for migration in sorted(MIGRATIONS.glob("*.sql")):
        services.mariadb.run(migration.read_text(), name)
    services.postgresql_server.run(f"CREATE DATABASE {name}")
    postgresql = services.postgresql_server.url(name)
    postgresql_server.migrate(postgresql)
    path, redis, mongo = folder / f"{name}.db", f"{services.redis}/{number}", f"{services.mongo}_{number}"
    database = services.mariadb.url(name)
    session_data, php_session = partial(_database, database, folder), partial(_handlersocket, database, folder)
    return {
        "memory": Place(memory := MemoryStore(max_entries=10**7, max_bytes=10**10), partial(_memory, memory)),
        "SQLite": Place(SQLiteStore(path), partial(_sqlite, path)),
        "Redis": Place(RedisStore(redis), partial(_redis, redis)),
        "HandlerSocket": Place(store_from_url(services.mariadb.handlersocket_url(name)), php_session),
        "Database": Place(DatabaseStore(database), session_data),
        "PostgreSQL": Place(PostgreSQLStore(postgresql), partial(_postgresql, postgresql)),
        "Mongo": Place(MongoStore(mongo), partial(_mongo, mongo)),
    }


def _memory(store: MemoryStore, rows: Iterable[Row]) -> None:
    async def create_all() -> None:
        for row in rows:
            await store.create(row.key, row.data.encode(), row.expires_at, row.owner)

    asyncio.run(create_all())


def _sqlite(path: Path, rows: Iterable[Row]) -> None:
    insert = "INSERT INTO starlette_sessions (key, data, version, expires_at, owner) VALUES (?, ?, 1, ?, ?)"
    with closing(sqlite3.connect(path, timeout=60)) as db, db:
        db.execute("PRAGMA cache_size = -500000")  # KiB: keys come in no order, and each goes to another page
        db.executemany(insert, ((row.key, row.data.encode(), row.expires_at, row.owner) for row in rows))


def _redis(url: str, rows: Iterable[Row]) -> None:
    """As redis.io/docs/latest/develop/clients/patterns/bulk-loading has it."""
    with subprocess.Popen(["redis-cli", "-u", url, "--pipe"], stdin=PIPE, stdout=DEVNULL) as client:
        assert client.stdin is not None
        now = time.time()
        for key, data, expires_at, owner in rows:
            value = data
            if owner is not None:
                until = redis_rows.listed_until(expires_at, now)
                value = redis_rows.write(redis_rows.Row(data.encode(), owner, until)).decode()
                client.stdin.write(_command("ZADD", f"session:owner:{owner}", str(until), key))
            client.stdin.write(_command("SET", f"session:{key}", value, "EXAT", str(expires_at)))
    if client.returncode:
        raise RuntimeError("redis-cli couldn't load the sessions")


def _command(*words: str) -> bytes:
    """As the protocol of Redis has it."""
    lines = [f"*{len(words)}", *(line for word in words for line in (f"${len(word)}", word)), ""]
    return "\r\n".join(lines).encode()


def _database(url: str, folder: Path, rows: Iterable[Row]) -> None:
    """A row's expiry is `modified_at` and two weeks."""
    times = (row._replace(expires_at=row.expires_at - WEEKS) for row in rows)
    columns = "(session_id, data, modified_at, owner) SET created_at = modified_at, version = 1"
    _load_into(url, f"session_data {columns}", folder, times)


def _handlersocket(url: str, folder: Path, rows: Iterable[Row]) -> None:
    """A row's expiry is `modified` and an hour."""
    times = ((row.key, row.data, to_time(row.expires_at - HOUR), row.owner) for row in rows)
    _load_into(url, "php_session (id, data, modified, owner) SET version = 1", folder, times)


_NULL = "\\N"
"""What stands for NULL in a file that MariaDB or PostgreSQL loads."""


def _load_into(url: str, table: str, folder: Path, rows: Iterable[tuple[str, str, object, str | None]]) -> None:
    path = folder / "rows.tsv"
    with path.open("w") as file:
        for key, data, moment, owner in rows:
            file.write("{}\t{}\t{}\t{}\n".format(key, data.replace("\n", "\\\n"), moment, owner or _NULL))
    run_sql(url, f"LOAD DATA INFILE '{path}' INTO TABLE {table}")
    path.unlink()


def _postgresql(url: str, rows: Iterable[Row]) -> None:
    """By COPY; and as autovacuum will, what the planner wants to know is gathered."""
    command = "COPY sessions (key, data, version, expires_at, owner) FROM STDIN"
    program = postgresql_server.program("psql")
    with subprocess.Popen(
        [program, "-qX", "-v", "ON_ERROR_STOP=1", "-c", command, url], stdin=PIPE, text=True
    ) as client:
        assert client.stdin is not None
        for key, data, expires_at, owner in rows:
            client.stdin.write(f"{key}\t\\\\x{data.encode().hex()}\t1\t{expires_at}\t{owner or _NULL}\n")
    if client.returncode:
        raise RuntimeError("psql couldn't load the sessions")
    postgresql_server.run_sql(url, "VACUUM ANALYZE sessions")


def _mongo(url: str, rows: Iterable[Row]) -> None:
    documents = (_document(*row) for row in rows)
    with MongoClient[Any](url) as client:
        collection = client.get_default_database()["session_data"]
        while batch := list(islice(documents, 10_000)):
            collection.insert_many(batch, ordered=False)


def _document(key: str, data: str, expires_at: int, owner: str | None) -> dict[str, Any]:
    moment = DatetimeMS(expires_at * 1000)
    times = {"created_at": moment, "modified": moment, "expires_at": moment}
    document = {"_id": key, "data": data.encode(), "version": Int64(1), **times}
    return document if owner is None else {**document, "owner": owner}
