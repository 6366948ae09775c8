"""What a MySQL table is like, and what it has to be like to hold sessions without loss. Pure, but for the asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from ...errors import ConfigurationError
from ..base import Finding

KEY_CHARACTERS = 32
_SHORTEST_DATA = 4096
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

FetchAll = Callable[[str, tuple[Any, ...]], Awaitable[list[tuple[Any, ...]]]]

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


class Wanted(NamedTuple):
    """A column that a store needs: how it is made, and what is wrong with one that isn't like that."""

    name: str
    definition: str
    wrong: Callable[[Column], str | None]


async def examine(
    fetch_all: FetchAll, database: str | None, table: str, wanted: list[Wanted], create_statement: str
) -> dict[str, Column]:
    """The table's columns by their names in lower case; the first one wanted is its primary key.

    Raises `ConfigurationError`, with the statement that mends it, for a table that can't hold
    sessions. No `database` is the connection's own.
    """
    place = quote(database, table)
    kind = await fetch_all(_TABLE, (database, table))
    if not kind:
        raise ConfigurationError(f"there is no table {place}. Make it: {create_statement}")
    columns = {row[0].lower(): Column(*row) for row in await fetch_all(_COLUMNS, (database, table))}
    unique = {row[0].lower() for row in await fetch_all(_UNIQUE, (database, table))}
    faults = list(_faults(wanted, kind[0], columns, unique))
    if faults:
        reasons, changes = zip(*faults, strict=True)
        raise ConfigurationError(
            f"the table {place} can't hold sessions as it is: {'; '.join(reasons)}."
            f" Mend it: ALTER TABLE {place} {', '.join(changes)};"
        )
    return columns


async def is_indexed(fetch_all: FetchAll, database: str | None, table: str, column: str) -> bool:
    """Whether an index begins with the column."""
    [(count,)] = await fetch_all(_INDEXED, (database, table, column))
    return bool(count)


async def flush_findings(fetch_all: FetchAll) -> list[Finding]:
    """Whether the server keeps what it acknowledges."""
    [(flush,)] = await fetch_all("SELECT @@innodb_flush_log_at_trx_commit", ())
    if flush == 1:
        return []
    problem = f"innodb_flush_log_at_trx_commit is {flush}: acknowledged sessions are lost in a crash"
    return [Finding(problem, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in the server's settings")]


async def read_only_findings(fetch_all: FetchAll) -> list[Finding]:
    """Whether the server is read-only for accounts with fewer rights than this one."""
    [(read_only,)] = await fetch_all("SELECT CAST(@@GLOBAL.read_only AS CHAR)", ())
    if str(read_only) in ("0", "OFF"):
        return []
    problem = f"read_only is {read_only}, as on a replica, and this account writes nevertheless"
    return [Finding(problem, "name the primary server in the URL: the next failover would lose these sessions")]


def quote(database: str | None, table: str) -> str:
    """A table's name as it is written in a statement; its characters have been checked."""
    return f"`{table}`" if database is None else f"`{database}`.`{table}`"


def _faults(
    wanted: list[Wanted], kind: tuple[str, str | None], columns: dict[str, Column], unique: set[str]
) -> Iterator[tuple[str, str]]:
    """Each fault, and the part of an ALTER TABLE that mends it."""
    if kind[1] != "YES":
        yield f"its engine ({kind[0].lower()}) isn't transactional, and loses writes in a crash", "ENGINE=InnoDB"
    for name, definition, wrong in wanted:
        column = columns.get(name.lower())
        if column is None:
            yield f"it has no column `{name}`", f"ADD COLUMN `{name}` {definition}"
        elif reason := wrong(column):
            yield f"`{name}` ({column.definition}) {reason}", f"MODIFY `{name}` {definition}"
    key = wanted[0].name
    if key.lower() not in unique:
        yield f"`{key}` alone isn't its primary key", f"ADD PRIMARY KEY (`{key}`)"
    ours = {one.name.lower() for one in wanted}
    for column in columns.values():
        if column.must_be_given and column.name.lower() not in ours:
            yield f"`{column.name}` has no default", f"MODIFY `{column.name}` {column.definition} NULL"


def wrong_id(column: Column) -> str | None:
    if column.type not in ("char", "varchar"):
        return "isn't text"
    if not (column.collation or "").endswith("_bin"):
        return f"takes different ids for one under {column.collation}"
    if column.length is None or column.length < KEY_CHARACTERS:
        return f"is shorter than a key's {KEY_CHARACTERS} characters"
    return None


def wrong_data(column: Column) -> str | None:
    if column.type not in _DATA_TYPES:
        return "doesn't give back text as it was written"
    if (column.charset or "").startswith(_WIDE_CHARSETS):
        return f"doesn't hold ASCII as it is in {column.charset}"
    if column.length is None or column.length < _SHORTEST_DATA:
        return f"is shorter than {_SHORTEST_DATA} bytes"
    return None


def wrong_version(column: Column) -> str | None:
    return None if column.type == "bigint" and not column.nullable else "can't hold a version"
