"""Inspect a session table, and whether the server keeps what it acknowledges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ...errors import ConfigurationError
from ..base import Finding
from .columns import Column
from .schema import TableSpec

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


async def inspect_table(fetch_all: FetchAll, table: TableSpec, create: str) -> dict[str, Column]:
    """Return the table's columns by their names in lower case.

    Raise `ConfigurationError` for a table that can't hold sessions, with the statement that repairs it,
    or `create`, which creates it, if there is none.
    """
    where = (table.database, table.name)
    found = await fetch_all(_TABLE, where)
    if not found:
        raise ConfigurationError(f"there is no table {table.quoted}. Make it: {create}")
    columns = {row[0].lower(): Column(*row) for row in await fetch_all(_COLUMNS, where)}
    unique = {row[0].lower() for row in await fetch_all(_UNIQUE, where)}
    kind, transactions = found[0]
    table.refuse(table.faults(kind, transactions, columns, unique))
    return columns


async def has_index(fetch_all: FetchAll, table: TableSpec, column: str) -> bool:
    """Return whether an index begins with the column."""
    [(count,)] = await fetch_all(_INDEXED, (table.database, table.name, column))
    return bool(count)


async def flush_findings(fetch_all: FetchAll) -> list[Finding]:
    """Report a server that may lose what it acknowledged."""
    [(flush,)] = await fetch_all("SELECT @@innodb_flush_log_at_trx_commit", ())
    if flush == 1:
        return []
    problem = f"innodb_flush_log_at_trx_commit is {flush}: acknowledged sessions are lost in a crash"
    return [Finding(problem, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in the server's settings")]


async def read_only_findings(fetch_all: FetchAll) -> list[Finding]:
    """Report a server that is read-only for accounts with fewer rights than this one."""
    [(read_only,)] = await fetch_all("SELECT CAST(@@GLOBAL.read_only AS CHAR)", ())
    if str(read_only) in ("0", "OFF"):
        return []
    problem = f"read_only is {read_only}, as on a replica, and this account writes nevertheless"
    return [Finding(problem, "name the primary server in the URL: the next failover would lose these sessions")]
