"""The numbered SQL files that make and upgrade the PostgreSQL table.

They are applied here. What was applied is written down in the table `starlette_sessions_migrations` of the
same schema. All that is pending is applied in one transaction: as a whole, or not at all. Of two processes
one waits, and finds nothing left.

    async with connect("postgresql://app:password@127.0.0.1/app") as connection:
        for name in await apply(connection):
            print(name)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

try:
    import asyncpg
except ImportError as error:  # pragma: no cover - tested in an interpreter without asyncpg
    raise ImportError('the migrations need asyncpg: pip install "starlette-sessions-ext[postgresql]"') from error

from ...errors import StoreTimeout, StoreUnavailable
from .._support.migration_files import read_migrations
from .errors import DRIVER_ERRORS, to_store_error
from .url import address_of, settings_of

TABLE = "starlette_sessions_migrations"

_CREATE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    name text COLLATE "C" PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT current_timestamp
)"""
_APPLIED = f"SELECT name FROM {TABLE}"  # noqa: S608 - a constant
_RECORD = f"INSERT INTO {TABLE} (name) VALUES ($1)"  # noqa: S608 - a constant
_LOCK = 8362117309458104423
"""The number of the advisory lock, which means nothing but us: drawn at random once."""

_LOCKED = "55P03"
_REMEDIES = {
    "42501": ". GRANT CREATE, USAGE on the schema to the account; the owner of a table alone may change it",
    "25006": ". The server is a standby, or read-only: name the primary in the URL",
}


class Migration(NamedTuple):
    """A file of the `migrations/postgresql` folder. `name` is its name without `.sql`."""

    name: str
    sql: str


def find() -> list[Migration]:
    """Return the migrations of this package, in the order in which they apply."""
    return [Migration(*file) for file in read_migrations("postgresql")]


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Any]:
    """Connect to the database of a `postgresql://` URL, for as long as it is needed."""
    settings = settings_of(url)
    try:
        connection = await asyncpg.connect(**settings, timeout=10)
    except DRIVER_ERRORS as error:
        raise StoreUnavailable(
            f"can't connect to the database: {to_store_error(error, address_of(settings))}"
        ) from error
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def pending(connection: Any) -> list[Migration]:
    """Return the migrations that `apply` would apply. Changes and locks nothing."""
    migrations = await asyncio.to_thread(find)
    with _translate_errors("can't tell which migrations were applied"):
        applied = await _applied(connection)
    return [migration for migration in migrations if migration.name not in applied]


async def apply(connection: Any, *, wait: float = 60.0) -> list[str]:
    """Apply what is pending to the connection's database, and return the names.

    Waits up to `wait` seconds for another process that applies, or uses the table, then raises
    `StoreTimeout`. Raises `StoreUnavailable` if a statement fails; nothing was changed then. Needs
    CREATE on the schema.
    """
    migrations = await asyncio.to_thread(find)
    names = []
    with _translate_errors("can't prepare the migrations"):
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {int(wait * 1000)}")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_CREATE)
            applied = await _applied(connection)
            for migration in migrations:
                if migration.name not in applied:
                    with _translate_errors(f"migration {migration.name} failed, and nothing was changed"):
                        await connection.execute(migration.sql)
                        await connection.execute(_RECORD, migration.name)
                    names.append(migration.name)
    return names


async def _applied(connection: Any) -> set[str]:
    exists = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", TABLE)
    return {name for (name,) in await connection.fetch(_APPLIED)} if exists else set()


@contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Raise asyncpg's errors as ours.

    The server's own words are kept: no session is in these statements.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        state = getattr(error, "sqlstate", None)
        if state == _LOCKED:
            raise StoreTimeout(
                "another process applies migrations, or holds the table: try again when it is done"
            ) from error
        code = f"{state}: " if state else ""
        raise StoreUnavailable(f"{what}: {code}{error}{_REMEDIES.get(str(state), '')}") from error
