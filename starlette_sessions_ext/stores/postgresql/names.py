"""The name of a session table, as a PostgreSQLStore is configured. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...errors import ConfigurationError

_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,63}")


class TableName(NamedTuple):
    """A table. Without a `schema` it is found by the connection's search_path."""

    schema: str | None
    name: str

    @property
    def quoted(self) -> str:
        """The name as it is written in a statement; its characters have been checked."""
        return f'"{self.name}"' if self.schema is None else f'"{self.schema}"."{self.name}"'


MIGRATED = TableName(None, "sessions")
"""The table that the migrations create."""


def parse_name(table: str, schema: str | None) -> TableName:
    """Check the identifiers of a configuration. Raise `ConfigurationError` for others."""
    named = {"table": table} if schema is None else {"table": table, "schema": schema}
    for option, value in named.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{option} must be a str, not {type(value).__name__}")
    if not all(map(_IDENTIFIER.fullmatch, named.values())):
        raise ConfigurationError("a table or schema is named by 1 to 63 characters of A-Z, a-z, 0-9, _ and $")
    return TableName(schema, table)
