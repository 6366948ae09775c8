"""The column that holds the sessions of PHP.

This module knows what fits in it, and how bytes go in and out unchanged.

PHP sends and reads its bytes as text of the character set of its connection. The server converts between that and the
column's. So do the statements here. What would come out as other bytes is refused before it is written. PHP destroys
a session whose lengths don't fit.
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import ConfigurationError
from ...stores.mysql.connections import Connections, execute
from ..text import as_text, refuse_wide
from .layouts import Layout

CHARSETS = ("utf8mb4", "utf8mb3", "utf8", "latin1")
_NARROW = ("utf8", "utf8mb3")
"""They have no characters above U+FFFF."""

_DESCRIBE = """SELECT column_name, character_set_name, character_maximum_length, character_octet_length, collation_name
    FROM information_schema.columns WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s"""


class Columns(NamedTuple):
    """The columns of the data and of the id.

    The tuple also holds the character set of PHP's connection.
    """

    connection_charset: str
    charset: str | None
    """None: the column holds bytes."""
    max_bytes: int
    id_length: int
    id_collation: str

    @property
    def read(self) -> str:
        """The bytes that PHP reads, in the template of a statement."""
        if self.charset is None:
            return "CAST({data} AS BINARY)"
        return f"CAST(CONVERT({{data}} USING {self.connection_charset}) AS BINARY)"

    @property
    def write(self) -> str:
        """A parameter that is stored as if PHP had sent it."""
        return "%s" if self.charset is None else f"CONVERT(%s USING {self.connection_charset})"

    def check(self, data: bytes) -> None:
        """Raise `NotSerializable` for what PHP would read as other bytes."""
        if self.charset is None or self.connection_charset == "latin1":
            return
        text = as_text(data)
        if self.charset in _NARROW or self.connection_charset in _NARROW:
            refuse_wide(text)


async def look_at(connections: Connections, layout: Layout, connection_charset: str) -> Columns:
    """Find what the columns hold.

    Raises `ConfigurationError` if the table or a column isn't there.
    """
    async with connections.acquire() as connection:
        rows = (await execute(connection, _DESCRIBE, (layout.database, layout.table))).rows
    found = {str(name): columns for name, *columns in rows}
    for name in (layout.session_id, layout.data):
        if name not in found or found[name][2] is None:
            raise ConfigurationError(
                f"there is no column {name} of text in a table {layout.table}: name the table that PHP uses"
            )
    charset, _, max_bytes, _ = found[layout.data]
    _, id_length, _, id_collation = found[layout.session_id]
    return Columns(connection_charset, charset, max_bytes, id_length, id_collation or "binary")
