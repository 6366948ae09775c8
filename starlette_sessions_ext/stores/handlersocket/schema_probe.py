"""Find out through HandlerSocket whether a table keeps sessions as written.

It can't be asked for a schema, and reports no error where it cuts or changes a value. So a row is
written that shows it, expired from the start, and read back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

from ...handlersocket import Client, Row, ServerError, Where
from ..base import Finding
from ..mysql.columns import KEY_CHARACTERS, MIN_DATA_BYTES
from ..mysql.schema import Fault, TableSpec
from .columns import Indexes, OwnerIndexes, owned_after

_TEXT = 65_535
_MEDIUMTEXT = 16_777_215
_TIME = b"1960-01-02 03:04:05"  # a DATE is shorter, and no TIMESTAMP goes back so far
_VERSION = 2**63 - 1


async def probe(reading: Client, writing: Client, indexes: Indexes) -> int:
    """Return the number of bytes that the data column takes.

    Raises `ConfigurationError` for a table that can't hold sessions.
    """
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
    indexes.table.refuse(_faults(indexes.table, found[0], key.encode(), bool(lax)))
    length = len(found[0][2] or b"")
    return length if length <= _TEXT else _MEDIUMTEXT


async def probe_owners(reading: Client, writing: Client, indexes: OwnerIndexes, table: TableSpec) -> Finding | None:
    """Return why the table holds no owners, and what adds them; None if it does."""
    rows, by_owner = indexes.rows, indexes.by_owner
    key, owner = (f"probe{secrets.token_hex(14)}"[:32] for _ in range(2))
    try:
        await writing.open_index(rows)
        await reading.open_index(by_owner)
        await reading.find(by_owner, owned_after(owner, key, "", 1))
    except ServerError as error:
        if error.reason == "fld":
            fault = table.no_owner
            return Finding(fault.reason, f"run sessions-ext migrate mysql://..., or {fault.change}")
        if error.reason in ("idxnum", "kpnum"):  # there is none, or it has fewer columns
            return Finding(*table.no_owner_index)
        raise
    where, values = Where("=", (key,)), (key, _TIME, "", _VERSION)
    try:
        await writing.insert(rows, (*values, owner))
        [(*_, found)] = await writing.find(rows, where)
        lax = await reading.find(by_owner, Where("=", (owner.upper(),)))
        await writing.update(rows, where, (*values, None))
        [(*_, none)] = await writing.find(rows, where)
    finally:
        await writing.delete(rows, where)
    if found == owner.encode() and not lax and none is None:
        return None
    return Finding(*table.unfit_owner(f"`{table.owner.name}` of {table.quoted} can't hold an owner, or none"))


def _faults(table: TableSpec, row: Row, key: bytes, lax: bool) -> Iterator[Fault]:
    name, modified, data, version = row
    if name != key or lax:
        reason = "takes different ids for one" if lax else f"is shorter than a key's {KEY_CHARACTERS} characters"
        yield Fault(f"`id` {reason}", table.column("id").modify)
    if modified != _TIME:
        yield Fault("`modified` doesn't hold a date and time of any year", table.column("modified").modify)
    if len(data or b"") < MIN_DATA_BYTES or (data or b"").strip(b"x"):
        yield Fault(f"`data` doesn't hold {MIN_DATA_BYTES} bytes of text", table.column("data").modify)
    if version != b"%d" % _VERSION:
        yield Fault("`version` can't hold a version", table.column("version").modify)
