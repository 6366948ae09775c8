"""What a MySQL table must be to hold sessions without loss, and the statement that repairs one which isn't.

The server is asked once, when a store opens. Everything after that is pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...errors import ConfigurationError
from ..base import Finding
from .table_checks import (
    Column,
    FetchAll,
    Wanted,
    examine,
    flush_findings,
    is_indexed,
    quote,
    read_only_findings,
    wrong_data,
    wrong_id,
    wrong_version,
)

_STRICT = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}
_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,64}")
_HARMLESS = (
    """INSERT INTO {table} ({session_id}, {data}, {created_at}, {modified_at}, {version})
    SELECT {session_id}, {data}, {created_at}, {modified_at}, {version} FROM {table}
    WHERE {session_id} = '' AND 1 = 0""",
    """UPDATE {table} SET {data} = '', {modified_at} = 0, {version} = 0 WHERE {session_id} = '' AND 1 = 0""",
    "DELETE FROM {table} WHERE {session_id} = '' AND 1 = 0",
)
_SERVER = "SELECT @@SESSION.sql_mode, @@SESSION.max_allowed_packet, DATABASE()"


class Names(NamedTuple):
    """The table and its columns, as configured."""

    database: str | None
    table: str
    session_id: str
    data: str
    created_at: str
    modified_at: str
    version: str

    @property
    def columns(self) -> tuple[str, ...]:
        return self[2:]

    def quoted(self) -> dict[str, str]:
        """Each name as it is written in a statement."""
        columns = {name: f"`{value}`" for name, value in zip(self._fields[2:], self.columns, strict=True)}
        return {"table": quote(self.database, self.table), **columns}


_MIGRATED = Names(None, "session_data", "session_id", "data", "created_at", "modified_at", "version")


class Limits(NamedTuple):
    """What the table, and a packet to the server, can hold."""

    data_bytes: int
    last_time: int
    """The largest number for `modified_at`."""


UNKNOWN = Limits(65_535, 2**32 - 1)
"""Before the server was asked: `TEXT` and `INT UNSIGNED`, the smallest that the migrations make or leave."""


def names_of(table: str, **columns: str) -> Names:
    """Check identifiers from a configuration. Raise `ConfigurationError` for what can't be one."""
    for option, value in {"table": table, **{f"column_{name}": value for name, value in columns.items()}}.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{option} must be a str, not {type(value).__name__}")
    database, dot, name = table.rpartition(".")
    names = Names(database if dot else None, name, **columns)
    if not all(_IDENTIFIER.fullmatch(value) for value in names if value is not None):
        raise ConfigurationError(
            "a table or column is named by 1 to 64 characters of A-Z, a-z, 0-9, _ and $;"
            " a table may be given as database.table"
        )
    if len({column.lower() for column in names.columns}) < len(names.columns):
        raise ConfigurationError("each column of a DatabaseStore needs a name of its own")
    return names


async def check(fetch_all: FetchAll, names: Names, migrate: str) -> Limits:
    """Ask the server what the table is like. Raise `ConfigurationError` with the statement that repairs it.

    `migrate` is the command that makes the table of the migrations.
    """
    [(sql_mode, packet, current)] = await fetch_all(_SERVER, ())
    if names.database is None and current is None:
        raise ConfigurationError("the connection has no default database: name the table `database.table`")
    if not _STRICT & set(sql_mode.split(",")):
        raise ConfigurationError(
            "the server cuts values that don't fit, without an error: give create_pool"
            " sql_mode=\"'STRICT_ALL_TABLES'\", or set sql_mode on the server"
        )
    wanted = [
        Wanted(names.session_id, "VARCHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", wrong_id),
        Wanted(names.data, "MEDIUMTEXT NOT NULL", wrong_data),
        Wanted(names.created_at, "BIGINT UNSIGNED NOT NULL", _wrong_time),
        Wanted(names.modified_at, "BIGINT UNSIGNED DEFAULT NULL", _wrong_time),
        Wanted(names.version, "BIGINT UNSIGNED NOT NULL DEFAULT 0", wrong_version),
    ]
    make = migrate if names == _MIGRATED else create_statement(names)
    columns = await examine(fetch_all, names.database, names.table, wanted, make)
    return _limits(names, columns, packet)


async def try_writing(fetch_all: FetchAll, names: Names) -> None:
    """Run statements that change no row, but fail as any change does for want of rights or on a read-only server."""
    for statement in _HARMLESS:
        await fetch_all(statement.format_map(names.quoted()), ())


async def findings(fetch_all: FetchAll, names: Names, migrate: str) -> list[Finding]:
    """What works, but not well. What doesn't work at all is raised as `check` does."""
    await check(fetch_all, names, migrate)
    await try_writing(fetch_all, names)
    found = await flush_findings(fetch_all) + await read_only_findings(fetch_all)
    if not await is_indexed(fetch_all, names.database, names.table, names.modified_at):
        quoted = names.quoted()
        problem = f"no index begins with {quoted['modified_at']}: collecting expired sessions reads the whole table"
        remedy = "ALTER TABLE {table} ADD KEY ({modified_at}, {created_at});".format_map(quoted)
        found.append(Finding(problem, remedy))
    return found


def create_statement(names: Names) -> str:
    """The table of migration 0001, under the configured names."""
    return (
        "CREATE TABLE {table} ({session_id} VARCHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
        " {data} MEDIUMTEXT NOT NULL, {created_at} BIGINT UNSIGNED NOT NULL,"
        " {modified_at} BIGINT UNSIGNED DEFAULT NULL, {version} BIGINT UNSIGNED NOT NULL DEFAULT 0,"
        " PRIMARY KEY ({session_id}), KEY ({modified_at}, {created_at}))"
        " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;"
    ).format_map(names.quoted())


def _wrong_time(column: Column) -> str | None:
    if column.type == "bigint" or (column.type == "int" and "unsigned" in column.definition):
        return None
    return "can't hold unix seconds for long"


def _limits(names: Names, columns: dict[str, Column], packet: int) -> Limits:
    """A packet has to hold the statement, in which quoting may double the data."""
    length = columns[names.data.lower()].length or 0
    bigint = columns[names.modified_at.lower()].type == "bigint"
    return Limits(min(length, (packet - 1024) // 2), 2**63 - 1 if bigint else UNKNOWN.last_time)
