"""The requirements on a PostgreSQL table for sessions, and its SQL. Pure.

The statements create and repair it. This is the one description of the table. Migration 0001 creates it; a
test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ...errors import ConfigurationError
from .names import TableName

_DAY = "((expires_at / 86400)::integer)"


class Column(NamedTuple):
    """A column as the server's catalog describes it."""

    name: str
    type: str
    not_null: bool
    is_deterministic: bool
    """Whether its collation takes only equal bytes for equal."""
    is_generated: bool
    must_be_given: bool


class ColumnSpec(NamedTuple):
    """A column that the store needs."""

    name: str
    types: tuple[str, ...]
    definition: str
    not_null: bool = True
    is_generated: bool = False

    @property
    def add(self) -> str:
        return f"ADD COLUMN {self.name} {self.definition}"

    def fault(self, column: Column) -> Fault | None:
        """Return what is wrong with an existing column, or None."""
        if column.type not in self.types:
            change = f"ALTER COLUMN {self.name} TYPE {self.types[0]} USING {self.name}::{self.types[0]}"
            return Fault(f"{self.name} ({column.type}) isn't of the type {' or '.join(self.types)}", change)
        if not column.is_deterministic:
            return Fault(
                f"{self.name} takes different keys for one under its collation",
                f'ALTER COLUMN {self.name} TYPE text COLLATE "C"',
            )
        if self.not_null and not column.not_null:
            return Fault(f"{self.name} may be NULL", f"ALTER COLUMN {self.name} SET NOT NULL")
        if self.is_generated and not column.is_generated:
            return Fault(f"{self.name} isn't generated", f"DROP COLUMN {self.name}, {self.add}")
        return None


class Fault(NamedTuple):
    """A reason why a table can't hold sessions, and its repair.

    The repair is the part of an ALTER TABLE.
    """

    reason: str
    change: str


COLUMNS = (
    ColumnSpec("key", ("text", "character varying(32)"), 'text COLLATE "C"'),
    ColumnSpec("data", ("bytea",), "bytea NOT NULL"),
    ColumnSpec("version", ("bigint",), "bigint NOT NULL"),
    ColumnSpec("expires_at", ("bigint",), "bigint NOT NULL"),
    ColumnSpec("owner", ("text", "character varying(32)"), 'text COLLATE "C"', not_null=False),
    ColumnSpec(
        "expires_on",
        ("integer",),
        f"integer GENERATED ALWAYS AS {_DAY} STORED",
        not_null=False,
        is_generated=True,
    ),
)
INDEXES = {"expires_on": "(expires_on)", "owner": "(owner) WHERE owner IS NOT NULL"}
"""The indexes besides the primary key, by the column they begin with."""


def create_statements(table: TableName) -> list[str]:
    """Return the statements that create the table and its indexes."""
    columns = ", ".join(
        f"{column.name} {column.definition}{' PRIMARY KEY' if column.name == 'key' else ''}" for column in COLUMNS
    )
    table_statement = f"CREATE TABLE {table.quoted} ({columns}) WITH (fillfactor = 90)"
    return [table_statement, *(index_statement(table, column) for column in INDEXES)]


def index_statement(table: TableName, column: str) -> str:
    """Return the statement that creates the index which begins with a column."""
    return f"CREATE INDEX ON {table.quoted} {INDEXES[column]}"


def find_faults(columns: Mapping[str, Column], unique: set[str]) -> Iterator[Fault]:
    """Find what is wrong with an existing table.

    `unique` has the columns that are unique alone.
    """
    for spec in COLUMNS:
        if spec.name not in columns:
            yield Fault(f"it has no column {spec.name}", spec.add)
        elif fault := spec.fault(columns[spec.name]):
            yield fault
    if "key" not in unique:
        yield Fault("key alone isn't its primary key", "ADD PRIMARY KEY (key)")
    ours = {spec.name for spec in COLUMNS}
    for column in columns.values():
        if column.must_be_given and column.name not in ours:
            yield Fault(f'"{column.name}" has no default', f'ALTER COLUMN "{column.name}" DROP NOT NULL')


def refuse(table: TableName, faults: Iterable[Fault]) -> None:
    """Raise `ConfigurationError` with the statement that repairs the table.

    Do nothing if there are no faults.
    """
    found = list(faults)
    if found:
        changes = ", ".join(fault.change for fault in found)
        raise ConfigurationError(
            f"the table {table.quoted} can't hold sessions as it is: {'; '.join(fault.reason for fault in found)}."
            f" Repair it: ALTER TABLE {table.quoted} {changes};"
        )
