"""The columns of a session table, and the faults of existing ones. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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


class ColumnSpec(NamedTuple):
    """A column that a store needs.

    `check` returns what is wrong with an existing one, or None.
    """

    name: str
    definition: str
    check: Callable[[Column], str | None]

    @property
    def add(self) -> str:
        return f"ADD COLUMN `{self.name}` {self.definition}"

    @property
    def modify(self) -> str:
        return f"MODIFY `{self.name}` {self.definition}"


def check_id(column: Column) -> str | None:
    if column.type not in ("char", "varchar"):
        return "isn't text"
    if not (column.collation or "").endswith("_bin"):
        return f"takes different ids for one under {column.collation}"
    if column.length is None or column.length < KEY_CHARACTERS:
        return f"is shorter than a key's {KEY_CHARACTERS} characters"
    return None


def check_data(column: Column) -> str | None:
    if column.type not in _DATA_TYPES:
        return "doesn't give back text as it was written"
    if (column.charset or "").startswith(_WIDE_CHARSETS):
        return f"doesn't hold ASCII as it is in {column.charset}"
    if column.length is None or column.length < MIN_DATA_BYTES:
        return f"is shorter than {MIN_DATA_BYTES} bytes"
    return None


def check_time(column: Column) -> str | None:
    if column.type == "bigint" or (column.type == "int" and "unsigned" in column.definition):
        return None
    return "can't hold unix seconds for long"


def check_datetime(column: Column) -> str | None:
    return None if column.type == "datetime" else "doesn't hold a date and time of any year"


def check_version(column: Column) -> str | None:
    return None if column.type == "bigint" and not column.nullable else "can't hold a version"


def check_owner(column: Column) -> str | None:
    is_text = column.type in ("char", "varchar") and (column.collation or "").endswith("_bin")
    is_long_enough = column.length is not None and column.length >= KEY_CHARACTERS
    return None if is_text and is_long_enough and column.nullable else "can't hold an owner, or none"
