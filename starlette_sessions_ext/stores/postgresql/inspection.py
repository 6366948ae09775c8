"""Inspect a session table, and whether the server keeps what it acknowledges."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigurationError, StoreUnavailable
from ..base import Finding
from .errors import READ_ONLY
from .names import MIGRATED, TableName
from .schema import INDEXES, Column, create_statements, find_faults, index_statement, refuse

OLDEST = 120000
"""PostgreSQL 12, the first with generated columns, as the server numbers itself."""

_SERVER = """SELECT current_setting('server_version_num')::int, current_setting('transaction_read_only'),
    current_setting('default_transaction_isolation')"""
_TABLE = "SELECT oid, relkind::text, relpersistence::text FROM pg_catalog.pg_class WHERE oid = to_regclass($1)"
_COLUMNS = """SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    coalesce(c.collisdeterministic, true), a.attgenerated::text = 's',
    a.attnotnull AND NOT a.atthasdef AND a.attidentity::text = ''
    FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped"""
_INDEXES = """SELECT a.attname, i.indisunique AND i.indimmediate AND i.indnkeyatts = 1 AND i.indpred IS NULL
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = $1 AND i.indisvalid"""
_DURABILITY_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
_SETTINGS = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1::text[]) AND setting = 'off'"
_NO_OP_WRITES = (
    "SELECT key, data, version, expires_at, owner, expires_on FROM {table} WHERE false",
    "INSERT INTO {table} (key, data, version, expires_at, owner) SELECT '', '', 0, 0, NULL WHERE false",
    "UPDATE {table} SET data = '', version = 0, expires_at = 0, owner = NULL WHERE false",
    "DELETE FROM {table} WHERE false",
)


async def check_server_and_table(connection: Any, table: TableName, migrate: str) -> None:
    """Check that the server writes and the table holds sessions.

    Raise `StoreUnavailable` for a standby, `ConfigurationError` with the statement or command that
    repairs what else is wrong. `migrate` is the command that makes the table of the migrations.
    """
    version, read_only, isolation = await connection.fetchrow(_SERVER)
    refuse_version(version)
    if read_only == "on":
        raise StoreUnavailable(f"PostgreSQL doesn't write: {READ_ONLY}")
    if isolation not in ("read committed", "read uncommitted"):
        raise ConfigurationError(
            f"transactions are {isolation}, under which sessions that are changed at once fail:"
            " ALTER ROLE the account SET default_transaction_isolation = 'read committed'"
        )
    oid, kind, _ = await _find(connection, table, migrate)
    if kind not in ("r", "p"):
        raise ConfigurationError(f"{table.quoted} is a view, or another relation that isn't a table: name a table")
    columns = {row[0]: Column(*row) for row in await connection.fetch(_COLUMNS, oid)}
    unique = {name for name, is_unique in await connection.fetch(_INDEXES, oid) if is_unique}
    refuse(table, find_faults(columns, unique))


def refuse_version(number: int) -> None:
    """Raise `ConfigurationError` for a server that is too old. Pure."""
    if number < OLDEST:
        raise ConfigurationError(
            f"PostgreSQL {number // 10000} is too old for sessions: 12 or later has what they need"
        )


async def try_writing(connection: Any, table: TableName) -> None:
    """Run statements that change no row, but fail as any change does.

    They fail for want of rights or on a read-only server.
    """
    for statement in _NO_OP_WRITES:
        await connection.execute(statement.format(table=table.quoted))


async def look_for_weaknesses(connection: Any, table: TableName, migrate: str) -> list[Finding]:
    """Return what works, but not well."""
    oid, _, persistence = await _find(connection, table, migrate)
    found = [
        Finding(
            f"{name} is off: acknowledged sessions are lost in a crash",
            f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();",
        )
        for name, _ in await connection.fetch(_SETTINGS, _DURABILITY_SETTINGS)
    ]
    if persistence == "u":
        problem = f"{table.quoted} is UNLOGGED: a crash empties it, and a standby has none of it"
        found.append(Finding(problem, f"ALTER TABLE {table.quoted} SET LOGGED;"))
    indexed = {name for name, _ in await connection.fetch(_INDEXES, oid)}
    for column in INDEXES.keys() - indexed:
        problem = f"no index begins with {column}: to find sessions by it the server reads the whole table"
        found.append(Finding(problem, f"{index_statement(table, column)};"))
    return found


async def _find(connection: Any, table: TableName, migrate: str) -> tuple[int, str, str]:
    found = await connection.fetchrow(_TABLE, table.quoted)
    if found is None:
        create = migrate if table == MIGRATED else "; ".join(create_statements(table)) + ";"
        raise ConfigurationError(f"there is no table {table.quoted}. Make it: {create}")
    return tuple(found)
