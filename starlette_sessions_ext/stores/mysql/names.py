"""The configured names of a session table and its columns. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...errors import ConfigurationError

IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,64}")


class Names(NamedTuple):
    """The table and its columns, as configured. No `database` is the connection's own."""

    database: str | None
    table: str
    session_id: str
    data: str
    created_at: str
    modified_at: str
    version: str
    owner: str

    @property
    def columns(self) -> tuple[str, ...]:
        return self[2:]

    def quoted(self) -> dict[str, str]:
        """Return each name as it is written in a statement."""
        columns = {name: f"`{value}`" for name, value in zip(self._fields[2:], self.columns, strict=True)}
        return {"table": quote_table(self.database, self.table), **columns}


MIGRATED = Names(None, "session_data", "session_id", "data", "created_at", "modified_at", "version", "owner")
"""The table that the migrations create."""


def parse_names(table: str, **columns: str) -> Names:
    """Check the identifiers of a configuration. Raise `ConfigurationError` for others."""
    for option, value in {"table": table, **{f"column_{name}": value for name, value in columns.items()}}.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{option} must be a str, not {type(value).__name__}")
    database, dot, name = table.rpartition(".")
    names = Names(database if dot else None, name, **columns)
    if not all(IDENTIFIER.fullmatch(value) for value in names if value is not None):
        raise ConfigurationError(
            "a table or column is named by 1 to 64 characters of A-Z, a-z, 0-9, _ and $;"
            " a table may be given as database.table"
        )
    if len({column.lower() for column in names.columns}) < len(names.columns):
        raise ConfigurationError("each column of a DatabaseStore needs its own name")
    return names


def quote_table(database: str | None, table: str) -> str:
    """Return a table's name as it is written in a statement.

    Its characters have been checked.
    """
    return f"`{table}`" if database is None else f"`{database}`.`{table}`"
