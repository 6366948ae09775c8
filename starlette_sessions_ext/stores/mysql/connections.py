"""Get connections to MySQL and MariaDB, and execute statements on them.

One rule holds for a store's own connections and for a given pool: a connection that failed while a reply was
under way is closed and never used again. So no caller gets the reply to another's statement.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol, cast

from asyncmy import Connection
from asyncmy.cursors import Cursor


class Reply(NamedTuple):
    """The rows that a statement changed, or found, and those that it returned."""

    rowcount: int
    rows: list[tuple[Any, ...]]


async def execute(connection: Connection, statement: str, values: tuple[Any, ...] = ()) -> Reply:
    """Execute one statement. Values go in as parameters, always."""
    cursor = connection.cursor(Cursor)  # a given pool may be set to another kind, whose rows are dicts
    await cursor.execute(statement, values)
    return Reply(cast(int, cursor.rowcount), await cursor.fetchall())


async def fetch_all(connection: Connection, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return the rows of a statement."""
    return (await execute(connection, statement, values)).rows


class Connections(Protocol):
    """A source of connections for a store."""

    address: str
    """The server's name for messages, without user or password."""
    counts_found_rows: bool
    """Whether an UPDATE that changes nothing counts the row that it found."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection for one statement, in autocommit mode or with the same effect."""
        ...

    def forget_idle(self) -> None:
        """Use none of the connections that are idle now: one of them gave no answer."""
        ...

    async def aclose(self) -> None:
        """Close what this made."""
        ...

    def abandon(self) -> None:
        """Close the sockets of what this made, without its event loop."""
        ...


def discard(connection: Any) -> None:
    """Close at once, without waiting for a stalled peer.

    `close` alone would first wait until the peer has taken what was written.
    """
    if connection._transport is not None:
        connection._transport.abort()
    connection.close()
