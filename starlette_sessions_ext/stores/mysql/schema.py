"""What a MySQL table must be to hold sessions, and the statements that create and repair it. Pure.

This is the one description of both tables. A test compares what the migrations make with
`TableSpec.create_statement`. The startup checks of DatabaseStore and HandlerSocketStore use it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ...errors import ConfigurationError
from .names import Names, quote_table

KEY_CHARACTERS = 32
MIN_DATA_BYTES = 4096
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


class Fault(NamedTuple):
    """A reason why a table can't hold sessions, and the part of an ALTER TABLE that repairs it."""

    reason: str
    change: str


class ColumnSpec(NamedTuple):
    """A column that a store needs. `check` returns what is wrong with an existing one, or None."""

    name: str
    definition: str
    check: Callable[[Column], str | None]

    @property
    def add(self) -> str:
        return f"ADD COLUMN `{self.name}` {self.definition}"

    @property
    def modify(self) -> str:
        return f"MODIFY `{self.name}` {self.definition}"


class TableSpec(NamedTuple):
    """A session table. The first column is its primary key, `indexed` are those of its expiry.

    A table without `owner` holds sessions too, but none that has an owner.
    """

    database: str | None
    name: str
    columns: tuple[ColumnSpec, ...]
    index_name: str
    indexed: tuple[str, ...]
    owner: ColumnSpec
    owner_index_name: str

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
            return Fault(
                f"{self.quoted} has no column `{self.owner.name}`, so the sessions of a user can't be found",
                self.alter_statement(self.owner.add, self.add_owner_index),
            )
        if reason := self.owner.check(column):
            return Fault(
                f"`{column.name}` ({column.definition}) of {self.quoted} {reason}, so the sessions of a user can't be"
                " found",
                f"rename that column, then {self.alter_statement(self.owner.add, self.add_owner_index)}",
            )
        return None

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Raise `ConfigurationError` with the statement that repairs the table, if there are faults."""
        found = list(faults)
        if found:
            raise ConfigurationError(
                f"the table {self.quoted} can't hold sessions as it is: {'; '.join(fault.reason for fault in found)}."
                f" Repair it: {self.alter_statement(*(fault.change for fault in found))}"
            )

    @property
    def _index(self) -> str:
        columns = ", ".join(f"`{column}`" for column in self.indexed)
        return f"KEY `{self.index_name}` ({columns})"

    @property
    def _owner_index(self) -> str:
        return f"KEY `{self.owner_index_name}` (`{self.owner.name}`)"


def session_data(names: Names) -> TableSpec:
    """Describe the table of DatabaseStore, under the configured names."""
    columns = (
        ColumnSpec(names.session_id, "VARCHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", _check_id),
        ColumnSpec(names.data, "MEDIUMTEXT NOT NULL", _check_data),
        ColumnSpec(names.created_at, "BIGINT UNSIGNED NOT NULL", _check_time),
        ColumnSpec(names.modified_at, "BIGINT UNSIGNED DEFAULT NULL", _check_time),
        ColumnSpec(names.version, "BIGINT UNSIGNED NOT NULL DEFAULT 0", _check_version),
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
    )


def php_session(database: str | None, table: str) -> TableSpec:
    """Describe the table of HandlerSocketStore."""
    columns = (
        ColumnSpec("id", "VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", _check_id),
        ColumnSpec("modified", "DATETIME NOT NULL", _check_datetime),
        ColumnSpec("data", "MEDIUMTEXT", _check_data),
        ColumnSpec("version", "BIGINT UNSIGNED NOT NULL DEFAULT 0", _check_version),
    )
    return TableSpec(database, table, columns, "modified", ("modified",), _owner("owner"), "php_session_owner")


def _owner(name: str) -> ColumnSpec:
    return ColumnSpec(name, "CHAR(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL", _check_owner)


def _check_id(column: Column) -> str | None:
    if column.type not in ("char", "varchar"):
        return "isn't text"
    if not (column.collation or "").endswith("_bin"):
        return f"takes different ids for one under {column.collation}"
    if column.length is None or column.length < KEY_CHARACTERS:
        return f"is shorter than a key's {KEY_CHARACTERS} characters"
    return None


def _check_data(column: Column) -> str | None:
    if column.type not in _DATA_TYPES:
        return "doesn't give back text as it was written"
    if (column.charset or "").startswith(_WIDE_CHARSETS):
        return f"doesn't hold ASCII as it is in {column.charset}"
    if column.length is None or column.length < MIN_DATA_BYTES:
        return f"is shorter than {MIN_DATA_BYTES} bytes"
    return None


def _check_time(column: Column) -> str | None:
    if column.type == "bigint" or (column.type == "int" and "unsigned" in column.definition):
        return None
    return "can't hold unix seconds for long"


def _check_datetime(column: Column) -> str | None:
    return None if column.type == "datetime" else "doesn't hold a date and time of any year"


def _check_version(column: Column) -> str | None:
    return None if column.type == "bigint" and not column.nullable else "can't hold a version"


def _check_owner(column: Column) -> str | None:
    is_text = column.type in ("char", "varchar") and (column.collation or "").endswith("_bin")
    is_long_enough = column.length is not None and column.length >= KEY_CHARACTERS
    return None if is_text and is_long_enough and column.nullable else "can't hold an owner, or none"
