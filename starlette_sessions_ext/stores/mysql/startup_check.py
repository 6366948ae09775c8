"""Check the server and the table of a DatabaseStore, and find its rows' limits.

That happens when the store opens.
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import ConfigurationError
from ..base import Finding
from .columns import Column
from .inspection import FetchAll, flush_findings, has_index, inspect_table, read_only_findings
from .names import MIGRATED, Names
from .schema import session_data

_STRICT = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}
_NO_OP_WRITES = (
    """INSERT INTO {table} ({session_id}, {data}, {created_at}, {modified_at}, {version})
    SELECT {session_id}, {data}, {created_at}, {modified_at}, {version} FROM {table}
    WHERE {session_id} = '' AND 1 = 0""",
    """UPDATE {table} SET {data} = '', {modified_at} = 0, {version} = 0 WHERE {session_id} = '' AND 1 = 0""",
    "DELETE FROM {table} WHERE {session_id} = '' AND 1 = 0",
)
_SERVER = "SELECT @@SESSION.sql_mode, @@SESSION.max_allowed_packet, DATABASE()"


class Limits(NamedTuple):
    """The limits of the table, and of a packet to the server."""

    data_bytes: int
    last_time: int
    """The largest number for `modified_at`."""
    no_owners: Finding | None
    """The reason why no row can have an owner, and its remedy; None if rows can."""


UNKNOWN_LIMITS = Limits(65_535, 2**32 - 1, None)
"""The limits until the server is asked: `TEXT` and `INT UNSIGNED`, the smallest that the migrations make or leave."""


async def check_table(fetch_all: FetchAll, names: Names, migrate: str) -> Limits:
    """Ask the server for the table's definition, and return its limits.

    Raises `ConfigurationError` with the statement that repairs it.

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
    table = session_data(names)
    columns = await inspect_table(fetch_all, table, migrate if names == MIGRATED else table.create_statement)
    fault = table.owner_fault(columns)
    no_owners = fault and Finding(fault.reason, f"run {migrate}" if _migrates(names, columns) else fault.change)
    return _limits(names, columns, packet, no_owners)


async def try_writing(fetch_all: FetchAll, names: Names) -> None:
    """Run statements that change no row, but fail without the right to write.

    They fail on a read-only server too.
    """
    for statement in _NO_OP_WRITES:
        await fetch_all(statement.format_map(names.quoted()), ())


async def findings(fetch_all: FetchAll, names: Names, migrate: str) -> list[Finding]:
    """Return what works, but not well.

    Raises as `check_table` for what doesn't work at all.
    """
    limits = await check_table(fetch_all, names, migrate)
    await try_writing(fetch_all, names)
    found = await flush_findings(fetch_all) + await read_only_findings(fetch_all)
    table = session_data(names)
    if not await has_index(fetch_all, table, names.modified_at):
        problem = f"no index begins with `{names.modified_at}`: collecting expired sessions reads the whole table"
        found.append(Finding(problem, table.alter_statement(table.add_index)))
    if limits.no_owners is not None:
        found.append(limits.no_owners)
    elif not await has_index(fetch_all, table, names.owner):
        problem = f"no index begins with `{names.owner}`: finding the sessions of a user reads the whole table"
        found.append(Finding(problem, table.alter_statement(table.add_owner_index)))
    return found


def _migrates(names: Names, columns: dict[str, Column]) -> bool:
    """Return whether the migrations add the owner's column.

    They leave another column of that name alone.
    """
    return names == MIGRATED and names.owner not in columns


def _limits(names: Names, columns: dict[str, Column], packet: int, no_owners: Finding | None) -> Limits:
    """Return the limits of the table and of a packet.

    A packet has to hold the statement, in which quoting may double the data.
    """
    length = columns[names.data.lower()].length or 0
    bigint = columns[names.modified_at.lower()].type == "bigint"
    return Limits(min(length, (packet - 1024) // 2), 2**63 - 1 if bigint else UNKNOWN_LIMITS.last_time, no_owners)
