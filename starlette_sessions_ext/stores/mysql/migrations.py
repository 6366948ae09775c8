"""The numbered SQL files that make and upgrade the tables of MySQL and MariaDB.

They are applied here. What was applied is written down in the table `starlette_sessions_migrations` of the
same database. One process at a time applies, under a lock of the server's; the others wait, and find nothing
left.

    async with connect("mysql://app:password@127.0.0.1/app") as connection:
        for name in await apply(connection):
            print(name)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, NamedTuple

try:
    import asyncmy
    from asyncmy import Connection
    from asyncmy.cursors import Cursor
    from asyncmy.errors import MySQLError
except ImportError as error:  # pragma: no cover - tested in an interpreter without asyncmy
    raise ImportError('the migrations need asyncmy: pip install "starlette-sessions-ext[mysql]"') from error

from ...errors import ConfigurationError, StoreTimeout, StoreUnavailable
from .._support.migration_files import read_migrations
from .errors import DRIVER_ERRORS, to_store_error
from .url import address_of, settings_of

TABLE = "starlette_sessions_migrations"

_CREATE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, applied_at DATETIME NOT NULL
) ENGINE=InnoDB"""
_TABLE_EXISTS = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
_APPLIED = f"SELECT name FROM {TABLE}"  # noqa: S608 - a constant
_RECORD = f"INSERT INTO {TABLE} (name, applied_at) VALUES (%s, UTC_TIMESTAMP())"  # noqa: S608 - a constant

_RIGHTS = {1044, 1142, 1143}
_READ_ONLY = {1290, 1792, 1836}

# A lock belongs to the whole server, so the database is part of its name, which has up to 64 characters.
_LOCK_NAME = "CONCAT('starlette_sessions_', SHA1(DATABASE()))"

_TOKEN = re.compile(
    r"""--(?:[ \t][^\n]*)?(?:\n|\Z) | \#[^\n]* | /\*(?!M?!).*?\*/  # comments
    | (?P<kept>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*` | .)""",
    re.DOTALL | re.VERBOSE,
)


class Migration(NamedTuple):
    """A file of the `migrations` folder.

    `name` is its name without `.sql`; they apply in the order of names.
    """

    name: str
    sql: str

    @property
    def statements(self) -> list[str]:
        return split(self.sql)


def split(sql: str) -> list[str]:
    """Return the statements of a file, without comments and semicolons. Pure.

    A semicolon in quotes doesn't end a statement. There is no DELIMITER, as it is a command of the
    mysql client.
    """
    statements = [""]
    for token in _TOKEN.finditer(sql):
        if token["kept"] == ";":
            statements.append("")
        else:
            statements[-1] += token["kept"] or " "
    return [stripped for statement in statements if (stripped := statement.strip())]


def find() -> list[Migration]:
    """Return the migrations of this package.

    They are of the wheel, or of the source tree of an editable install.
    """
    return [Migration(*file) for file in read_migrations()]


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Connection]:
    """Connect to the database of a `mysql://` URL, for as long as it is needed.

    The connection has no read timeout.
    """
    settings = settings_of(url)
    try:
        connection = await asyncmy.connect(**settings, connect_timeout=10)
    except (*DRIVER_ERRORS, RuntimeError) as error:
        raise StoreUnavailable(
            f"can't connect to the database: {to_store_error(error, address_of(settings))}"
        ) from error
    async with connection:
        yield connection


async def pending(connection: Connection) -> list[Migration]:
    """Return the migrations that `apply` would apply. Changes and locks nothing."""
    migrations = await asyncio.to_thread(find)
    with _translate_errors("can't tell which migrations were applied"):
        applied = await _applied(connection)
    return [migration for migration in migrations if migration.name not in applied]


async def apply(connection: Connection, *, wait: float = 60.0) -> list[str]:
    """Apply what is pending to the connection's database, and return the names.

    Waits up to `wait` seconds for another process that applies, then raises `StoreTimeout`. Raises
    `StoreUnavailable` if a statement fails; what was applied before it stays, and running again goes
    on from there. Needs the privileges to CREATE and ALTER; for large tables no read timeout.
    """
    migrations = await asyncio.to_thread(find)
    names = []
    async with _lock(connection, wait):
        with _translate_errors("can't make the table of the migrations"):
            await _execute(connection, _CREATE)
            applied = await _applied(connection)
        for migration in migrations:
            if migration.name not in applied:
                await _apply(connection, migration)
                names.append(migration.name)
    return names


async def _apply(connection: Connection, migration: Migration) -> None:
    for number, statement in enumerate(migration.statements, 1):
        with _translate_errors(
            f"migration {migration.name} failed in its statement {number}; it will be tried again as a whole"
        ):
            await _execute(connection, statement)
    with _translate_errors(
        f"migration {migration.name} was applied, but couldn't be written down; applying it again is safe"
    ):
        await _run(connection, _RECORD, migration.name)
        await connection.commit()


async def _applied(connection: Connection) -> set[str]:
    [(exists,)] = await _run(connection, _TABLE_EXISTS, TABLE)
    return {name for (name,) in await _run(connection, _APPLIED)} if exists else set()


@asynccontextmanager
async def _lock(connection: Connection, wait: float) -> AsyncIterator[None]:
    with _translate_errors("can't take the lock of the migrations"):
        [(database, taken)] = await _run(connection, f"SELECT DATABASE(), GET_LOCK({_LOCK_NAME}, %s)", wait)
    if database is None:
        raise ConfigurationError("migrations need a connection with a database")
    if not taken:
        raise StoreTimeout(f"another process has been applying migrations for {wait} s: try again when it is done")
    try:
        yield
    finally:
        with suppress(MySQLError):  # if the connection is gone, so is its lock
            await _run(connection, f"DO RELEASE_LOCK({_LOCK_NAME})")


async def _execute(connection: Any, statement: str) -> None:
    """Execute without a cursor, which would log every note of the server.

    An example of such a note is that a table is there already.
    """
    await connection.query(statement)


async def _run(connection: Connection, statement: str, *values: object) -> list[Any]:
    cursor = connection.cursor(Cursor)
    await cursor.execute(statement, values)
    return await cursor.fetchall()


@contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Raise asyncmy's errors as ours.

    The server's own words are kept: no session is in these statements.
    """
    try:
        yield
    except MySQLError as error:
        raise StoreUnavailable(f"{what}: {error}{_remedy(error)}") from error


def _remedy(error: MySQLError) -> str:
    code = error.args[0] if error.args else 0
    if code in _RIGHTS:
        return ". GRANT CREATE, ALTER, SELECT, INSERT on the database to the account"
    if code in _READ_ONLY:
        return ". The server is read-only: name the primary server in the URL, or SET GLOBAL read_only = 0"
    return ""
