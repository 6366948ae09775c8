"""One row of `php_session` by its key: find it, or insert it where none lives."""

from __future__ import annotations

from ...handlersocket import Client, Index, Row, ServerError, Value, Where
from ..mysql.text_encoding import from_text
from .columns import Indexes
from .owned_rows import insert
from .ports import Ports


async def insert_row(ports: Ports, indexes: Indexes, index: Index, values: tuple[Value, ...], expired: Where) -> bool:
    """Insert a row through `index`.

    The row that `expired` finds counts as absent, but is in the way at first.
    """
    try:
        await ports.write(insert, index, values)
        return True
    except ServerError as error:
        if not error.is_duplicate:
            raise
    dropped = await ports.write(Client.fetch_and_delete, indexes.expiries, expired)
    return bool(dropped) and await insert_row(ports, indexes, index, values, expired)


async def find_row(ports: Ports, indexes: Indexes, key: str) -> list[Row]:
    """Return the row of a key, expired or not, or nothing."""
    return await ports.read_once(Client.find, indexes.rows, Where("=", (key,)))


async def contains(ports: Ports, indexes: Indexes, key: str, data: bytes) -> bool:
    """Return whether the row of a key has this data."""
    return any(from_text(text or b"") == data for _, _, text, _ in await find_row(ports, indexes, key))
