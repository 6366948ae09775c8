"""Finding out through HandlerSocket itself what a table does to the sessions that are put into it.

It can't be asked for a schema, and reports no error where it cuts or changes a value. So a row is
written that shows it, expired from the start, and read back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

from ...errors import ConfigurationError
from ...handlersocket import Client, Row, Where
from ..mysql.table_checks import quote
from .columns import Indexes

_TEXT = 65_535
_MEDIUMTEXT = 16_777_215
_SHORTEST_DATA = 4096
_TIME = b"1960-01-02 03:04:05"  # a DATE is shorter, and no TIMESTAMP goes back so far
_VERSION = 2**63 - 1


async def probe(reading: Client, writing: Client, indexes: Indexes) -> int:
    """How many bytes the data column takes. Raise `ConfigurationError` for a table that can't hold sessions."""
    index = replace(indexes.rows, id=100, echo=None)  # a table that can't may well answer for another key
    key = f"probe{secrets.token_hex(14)}"[:32]  # no session has such a key: theirs have no 0, 1, 8 and 9
    await reading.open_index(index)
    await writing.open_index(index)
    try:
        await writing.insert(index, (key, _TIME, b"x" * (_TEXT + 1), _VERSION))
        found = await reading.find(index, Where("=", (key,)))
        lax = await reading.find(index, Where("=", (key.upper(),)))
    finally:
        await writing.delete(index, Where("=", (key,)))
    faults = list(_faults(found[0], key.encode(), bool(lax)))
    if faults:
        table = quote(index.database, index.table)
        reasons, changes = zip(*faults, strict=True)
        raise ConfigurationError(
            f"the table {table} can't hold sessions as it is: {'; '.join(reasons)}."
            f" Mend it: ALTER TABLE {table} {', '.join(changes)};"
        )
    length = len(found[0][2] or b"")
    return length if length <= _TEXT else _MEDIUMTEXT


def _faults(row: Row, key: bytes, lax: bool) -> Iterator[tuple[str, str]]:
    """Each fault, and the part of an ALTER TABLE that mends it."""
    name, modified, data, version = row
    if name != key or lax:
        reason = "takes different ids for one" if lax else "is shorter than a key's 32 characters"
        yield f"`id` {reason}", "MODIFY `id` VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
    if modified != _TIME:
        yield "`modified` doesn't hold a date and time of any year", "MODIFY `modified` DATETIME NOT NULL"
    if len(data or b"") < _SHORTEST_DATA or (data or b"").strip(b"x"):
        yield f"`data` doesn't hold {_SHORTEST_DATA} bytes of text", "MODIFY `data` MEDIUMTEXT"
    if version != b"%d" % _VERSION:
        yield "`version` can't hold a version", "MODIFY `version` BIGINT UNSIGNED NOT NULL DEFAULT 0"
