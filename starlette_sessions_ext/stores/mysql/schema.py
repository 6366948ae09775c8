"""The requirements on a MySQL table for sessions, and its SQL. Pure.

The statements create and repair it. This is the one description of both tables. A test compares what the
migrations make with `TableSpec.create_statement`. The startup checks of DatabaseStore and HandlerSocketStore
use it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ...errors import ConfigurationError
from .columns import (
    Column,
    ColumnSpec,
    check_data,
    check_datetime,
    check_id,
    check_owner,
    check_time,
    check_version,
)
from .names import Names, quote_table


class Fault(NamedTuple):
    """A reason why a table can't hold sessions, and its repair.

    The repair is the part of an ALTER TABLE.
    """

    reason: str
    change: str


class TableSpec(NamedTuple):
    """A session table: its first column is its primary key.

    `indexed` are the columns of its expiry.

    A table without `owner` holds sessions too, but none that has an owner.
    """

    database: str | None
    name: str
    columns: tuple[ColumnSpec, ...]
    index_name: str
    indexed: tuple[str, ...]
    owner: ColumnSpec
    owner_index_name: str
    owner_indexed: tuple[str, ...]

    @property
    def quoted(self) -> str:
        return quote_table(self.database, self.name)

    @property
    def add_index(self) -> str:
        return f"ADD {self._index}"

    @property
    def add_owner_index(self) -> str:
        return f"ADD {self._owner_index}"

    @property
    def create_statement(self) -> str:
        columns = ", ".join(f"`{column.name}` {column.definition}" for column in (*self.columns, self.owner))
        keys = f"PRIMARY KEY (`{self.columns[0].name}`), {self._index}, {self._owner_index}"
        return f"CREATE TABLE {self.quoted} ({columns}, {keys}) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;"

    def column(self, name: str) -> ColumnSpec:
        return next(column for column in self.columns if column.name == name)

    def alter_statement(self, *changes: str) -> str:
        return f"ALTER TABLE {self.quoted} {', '.join(changes)};"

    def faults(
        self, kind: str, transactions: str | None, columns: Mapping[str, Column], unique: set[str]
    ) -> Iterator[Fault]:
        """Find what is wrong with an existing table.

        `columns` has them by their names in lower case, `unique` the columns that are unique alone.
        """
        if transactions != "YES":
            yield Fault(
                f"its engine ({kind.lower()}) isn't transactional, and loses writes in a crash", "ENGINE=InnoDB"
            )
        for spec in self.columns:
            column = columns.get(spec.name.lower())
            if column is None:
                yield Fault(f"it has no column `{spec.name}`", spec.add)
            elif reason := spec.check(column):
                yield Fault(f"`{spec.name}` ({column.definition}) {reason}", spec.modify)
        key = self.columns[0].name
        if key.lower() not in unique:
            yield Fault(f"`{key}` alone isn't its primary key", f"ADD PRIMARY KEY (`{key}`)")
        ours = {spec.name.lower() for spec in self.columns}
        for column in columns.values():
            if column.must_be_given and column.name.lower() not in ours:
                yield Fault(f"`{column.name}` has no default", f"MODIFY `{column.name}` {column.definition} NULL")

    def owner_fault(self, columns: Mapping[str, Column]) -> Fault | None:
        """Say why an existing table holds no owners, and what adds them; None if it does."""
        column = columns.get(self.owner.name.lower())
        if column is None:
            return self.no_owner
        reason = self.owner.check(column)
        return self.unfit_owner(f"`{column.name}` ({column.definition}) of {self.quoted} {reason}") if reason else None

    @property
    def no_owner(self) -> Fault:
        """The fault of a table without the column of the owner."""
        return Fault(
            f"{self.quoted} has no column `{self.owner.name}`, so the sessions of a user can't be found",
            self.alter_statement(self.owner.add, self.add_owner_index),
        )

    @property
    def no_owner_index(self) -> Fault:
        """The fault of a table without the index of the owner."""
        columns = ", ".join(f"`{column}`" for column in self.owner_indexed)
        reason = f"{self.quoted} has no index `{self.owner_index_name}` on {columns}"
        return Fault(f"{reason}, so the sessions of a user can't be found", self.alter_statement(self.add_owner_index))

    def unfit_owner(self, reason: str) -> Fault:
        """Return the fault of a table whose column of that name holds something else."""
        return Fault(
            f"{reason}, so the sessions of a user can't be found", f"rename that column, then {self.no_owner.change}"
        )

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Raise `ConfigurationError` with the statement that repairs the table.

        Do nothing if there are no faults.
        """
        found = list(faults)
        if found:
            raise ConfigurationError(
                f"the table {self.quoted} can't hold sessions as it is: {'; '.join(fault.reason for fault in found)}."
                f" Repair it: {self.alter_statement(*(fault.change for fault in found))}"
            )

    @property
    def _index(self) -> str:
        return _key(self.index_name, self.indexed)

    @property
    def _owner_index(self) -> str:
        return _key(self.owner_index_name, self.owner_indexed)


def session_data(names: Names) -> TableSpec:
    """Describe the table of DatabaseStore, under the configured names."""
    columns = (
        ColumnSpec(names.session_id, "VARCHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", check_id),
        ColumnSpec(names.data, "MEDIUMTEXT NOT NULL", check_data),
        ColumnSpec(names.created_at, "BIGINT UNSIGNED NOT NULL", check_time),
        ColumnSpec(names.modified_at, "BIGINT UNSIGNED DEFAULT NULL", check_time),
        ColumnSpec(names.version, "BIGINT UNSIGNED NOT NULL DEFAULT 0", check_version),
    )
    indexed = (names.modified_at, names.created_at)
    return TableSpec(
        names.database,
        names.table,
        columns,
        "session_data_expiry",
        indexed,
        _owner(names.owner),
        "session_data_owner",
        (names.owner,),
    )


def php_session(database: str | None, table: str) -> TableSpec:
    """Describe the table of HandlerSocketStore."""
    columns = (
        ColumnSpec("id", "VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", check_id),
        ColumnSpec("modified", "DATETIME NOT NULL", check_datetime),
        ColumnSpec("data", "MEDIUMTEXT", check_data),
        ColumnSpec("version", "BIGINT UNSIGNED NOT NULL DEFAULT 0", check_version),
    )
    owner = _owner("owner")
    by_owner = ("owner", "id")  # by which HandlerSocket goes on after the last key of a page
    return TableSpec(database, table, columns, "modified", ("modified",), owner, "php_session_owner", by_owner)


def _key(name: str, columns: Iterable[str]) -> str:
    return f"KEY `{name}` ({', '.join(f'`{column}`' for column in columns)})"


def _owner(name: str) -> ColumnSpec:
    return ColumnSpec(name, "CHAR(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL", check_owner)
