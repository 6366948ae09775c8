"""What a MySQL table must be to hold sessions without loss, and the statement that mends one which isn't.

The server is asked once, when a store opens. Everything after that is pure.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from .base import Finding

KEY_CHARACTERS = 32
_SHORTEST_DATA = 4096
_STRICT = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}
_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,64}")
_DATA_TYPES = {
    "varchar",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "varbinary",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
}
_WIDE_CHARSETS = ("ucs2", "utf16", "utf32")

Ask = Callable[[str, tuple[Any, ...]], Awaitable[list[tuple[Any, ...]]]]

_SERVER = "SELECT @@SESSION.sql_mode, @@SESSION.max_allowed_packet, DATABASE()"
_TABLE = """SELECT t.TABLE_TYPE, e.TRANSACTIONS FROM information_schema.TABLES t
    LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
    WHERE t.TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND t.TABLE_NAME = %s"""
_COLUMNS = """SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, CHARACTER_SET_NAME, COLLATION_NAME,
    IS_NULLABLE = 'YES', COLUMN_DEFAULT IS NULL AND IS_NULLABLE = 'NO' AND EXTRA = ''
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s"""
_UNIQUE = """SELECT MIN(COLUMN_NAME) FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s AND NON_UNIQUE = 0
    GROUP BY INDEX_NAME HAVING COUNT(*) = 1 AND MAX(SUB_PART) IS NULL"""

_INDEXED = """SELECT COUNT(*) FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s AND COLUMN_NAME = %s AND SEQ_IN_INDEX = 1"""


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
        table = f"`{self.table}`" if self.database is None else f"`{self.database}`.`{self.table}`"
        columns = {name: f"`{value}`" for name, value in zip(self._fields[2:], self.columns, strict=True)}
        return {"table": table, **columns}


class Column(NamedTuple):
    """A row of information_schema.COLUMNS."""

    name: str
    type: str
    definition: str
    length: int | None
    charset: str | None
    collation: str | None
    nullable: bool
    must_be_given: bool


class Limits(NamedTuple):
    """What the table, and a packet to the server, can hold."""

    data_bytes: int
    last_time: int
    """The largest number for `modified_at`."""


UNKNOWN = Limits(65_535, 2**32 - 1)
"""Before the server was asked: `TEXT` and `INT UNSIGNED`, the smallest that the migrations make or leave."""


def names_of(table: str, **columns: str) -> Names:
    """Check identifiers from a configuration. Raise `ConfigurationError` for what can't be one."""
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


async def check(ask: Ask, names: Names) -> Limits:
    """Ask the server what the table is like. Raise `ConfigurationError` with the statement that mends it."""
    [(sql_mode, packet, current)] = await ask(_SERVER, ())
    if names.database is None and current is None:
        raise ConfigurationError("the connection has no default database: name the table `database.table`")
    if not _STRICT & set(sql_mode.split(",")):
        raise ConfigurationError(
            "the server cuts values that don't fit, without an error: give create_pool"
            " sql_mode=\"'STRICT_ALL_TABLES'\", or set sql_mode on the server"
        )
    table = (names.database, names.table)
    kind = await ask(_TABLE, table)
    if not kind:
        raise ConfigurationError(f"there is no table {names.quoted()['table']}. Make it: {create_statement(names)}")
    columns = {row[0].lower(): Column(*row) for row in await ask(_COLUMNS, table)}
    unique = {row[0].lower() for row in await ask(_UNIQUE, table)}
    faults = list(_faults(names, kind[0], columns, unique))
    if faults:
        reasons, changes = zip(*faults, strict=True)
        raise ConfigurationError(
            f"the table {names.quoted()['table']} can't hold sessions as it is: {'; '.join(reasons)}."
            f" Mend it: ALTER TABLE {names.quoted()['table']} {', '.join(changes)};"
        )
    return _limits(names, columns, packet)


async def findings(ask: Ask, names: Names) -> list[Finding]:
    """What works, but not well. What doesn't work at all is raised as `check` does."""
    await check(ask, names)
    found = []
    [(flush,)] = await ask("SELECT @@innodb_flush_log_at_trx_commit", ())
    if flush != 1:
        problem = f"innodb_flush_log_at_trx_commit is {flush}: acknowledged sessions are lost in a crash"
        found.append(Finding(problem, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in the server's settings"))
    [(indexed,)] = await ask(_INDEXED, (names.database, names.table, names.modified_at))
    if not indexed:
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


def _faults(
    names: Names, kind: tuple[str, str | None], columns: dict[str, Column], unique: set[str]
) -> Iterator[tuple[str, str]]:
    """Each fault, and the part of an ALTER TABLE that mends it."""
    if kind[1] != "YES":
        yield f"its engine ({kind[0].lower()}) isn't transactional, and loses writes in a crash", "ENGINE=InnoDB"
    wanted: list[tuple[str, str, Callable[[Column], str | None]]] = [
        (names.session_id, "VARCHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", _wrong_id),
        (names.data, "MEDIUMTEXT NOT NULL", _wrong_data),
        (names.created_at, "BIGINT UNSIGNED NOT NULL", _wrong_time),
        (names.modified_at, "BIGINT UNSIGNED DEFAULT NULL", _wrong_time),
        (names.version, "BIGINT UNSIGNED NOT NULL DEFAULT 0", _wrong_version),
    ]
    for name, definition, wrong in wanted:
        column = columns.get(name.lower())
        if column is None:
            yield f"it has no column `{name}`", f"ADD COLUMN `{name}` {definition}"
        elif reason := wrong(column):
            yield f"`{name}` ({column.definition}) {reason}", f"MODIFY `{name}` {definition}"
    if names.session_id.lower() not in unique:
        yield f"`{names.session_id}` alone isn't its primary key", f"ADD PRIMARY KEY (`{names.session_id}`)"
    ours = {name.lower() for name in names.columns}
    for column in columns.values():
        if column.must_be_given and column.name.lower() not in ours:
            yield f"`{column.name}` has no default", f"MODIFY `{column.name}` {column.definition} NULL"


def _wrong_id(column: Column) -> str | None:
    if column.type not in ("char", "varchar"):
        return "isn't text"
    if not (column.collation or "").endswith("_bin"):
        return f"takes different ids for one under {column.collation}"
    if column.length is None or column.length < KEY_CHARACTERS:
        return f"is shorter than a key's {KEY_CHARACTERS} characters"
    return None


def _wrong_data(column: Column) -> str | None:
    if column.type not in _DATA_TYPES:
        return "doesn't give back text as it was written"
    if (column.charset or "").startswith(_WIDE_CHARSETS):
        return f"doesn't hold ASCII as it is in {column.charset}"
    if column.length is None or column.length < _SHORTEST_DATA:
        return f"is shorter than {_SHORTEST_DATA} bytes"
    return None


def _wrong_time(column: Column) -> str | None:
    if column.type == "bigint" or (column.type == "int" and "unsigned" in column.definition):
        return None
    return "can't hold unix seconds for long"


def _wrong_version(column: Column) -> str | None:
    return None if column.type == "bigint" and not column.nullable else "can't hold a version"


def _limits(names: Names, columns: dict[str, Column], packet: int) -> Limits:
    """A packet has to hold the statement, in which quoting may double the data."""
    length = columns[names.data.lower()].length or 0
    bigint = columns[names.modified_at.lower()].type == "bigint"
    return Limits(min(length, (packet - 1024) // 2), 2**63 - 1 if bigint else UNKNOWN.last_time)
