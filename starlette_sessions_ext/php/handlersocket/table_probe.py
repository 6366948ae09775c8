"""Find out through HandlerSocket itself what the columns of PHP's table hold.

It reports no error where it cuts or changes a value. So a row is written that shows it, expired from the start, and
read back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import ConfigurationError
from ...handlersocket import Client, Row, Where
from ...stores.base import Finding
from ...stores.handlersocket.columns import Indexes
from ..column_findings import ids_ignore_case, narrow_text, short_ids
from ..session_rows import check_data_fit
from ..text import as_text, refuse_wide

_TEXT = 65_535
_MEDIUMTEXT = 16_777_215
_LONGEST_ID = 256
_TIME = b"1960-01-02 03:04:05"
"""A DATE is shorter, and no TIMESTAMP goes back so far."""
_WIDE = "🐘".encode()
_NO_TEXT = b"\xff"


class Columns(NamedTuple):
    """What the columns of the id and of the data hold."""

    id_length: int
    ignores_case: bool
    max_bytes: int
    is_text: bool
    is_narrow: bool
    """It has no characters above U+FFFF."""

    def check(self, data: bytes) -> None:
        """Refuse what PHP would read as other bytes, or cut.

        Raises `NotSerializable` for the former, `SessionTooLarge` for the latter.
        """
        if self.is_text:
            text = as_text(data)
            if self.is_narrow:
                refuse_wide(text)
        check_data_fit(data, self.max_bytes)

    def findings(self) -> Iterator[Finding]:
        """Yield what the columns change in what is stored."""
        if self.ignores_case:
            yield ids_ignore_case("a collation")
        yield from short_ids(self.id_length)
        if self.is_narrow:
            yield narrow_text()


async def probe(reading: Client, writing: Client, indexes: Indexes) -> Columns:
    """Look at the columns.

    Raises `ConfigurationError` for a table whose `modified` holds no dates and times.
    """
    key = f"probe{secrets.token_hex(_LONGEST_ID)}"[:_LONGEST_ID]
    same, other_case = Where("=", (key,)), Where("=", (key.upper(),))
    try:
        await writing.insert(indexes.rows, (key, _TIME, _WIDE + _NO_TEXT + b"x" * (_TEXT + 1)))
        [row] = await reading.find(indexes.rows, same)
        lax = await reading.find(indexes.rows, other_case)
    finally:
        await writing.delete(indexes.rows, same)
    return _columns(row, bool(lax))


def _columns(row: Row, lax: bool) -> Columns:
    name, modified, data = (value or b"" for value in row)
    if modified != _TIME:
        raise ConfigurationError("`modified` of PHP's table must be a DATETIME, as the README of the adapter prints it")
    length = len(data)
    return Columns(
        id_length=len(name),
        ignores_case=lax,
        max_bytes=length if length <= _TEXT else _MEDIUMTEXT,
        is_text=_NO_TEXT not in data,
        is_narrow=not data.startswith(_WIDE),
    )
