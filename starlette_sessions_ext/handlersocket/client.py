"""One connection to a HandlerSocket port: the requests of the protocol, as calls.

client = await Client.connect("127.0.0.1", 9998, secret="...")
users = Index(0, "app", "users", "PRIMARY", ("id", "name"))
await client.open_index(users)
[(number, name)] = await client.find(users, Where("=", [42]))
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Self, TypeVar

from . import frames
from .connection import Index, RowsReader, read_count, read_inserted, read_nothing
from .errors import ConnectionLost, DeadlineExceeded, HandlerSocketError, LocalProtocolError, ServerError
from .frames import Change, Row, Value, Where
from .pipeline import Pipeline

T = TypeVar("T")

DEFAULT_TIMEOUT = 2.0
"""Seconds for one answer."""


class Client:
    """A connection, made by `connect`, for any number of callers at once.

    Port 9998 only finds rows; port 9999 changes them as well.

    All calls raise `ServerError` where the server answers that a request failed, and `LocalProtocolError`
    for what the protocol can't say. When the connection ends, all calls that wait for an answer on it raise
    `ConnectionLost`, `DeadlineExceeded` or `RemoteProtocolError`. A call may be cancelled without harm to
    others. The server may then carry its request out, or not.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._indexes: dict[int, Index] = {}

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        *,
        secret: str | None = None,
        indexes: Sequence[Index] = (),
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - it stays in force for every answer
    ) -> Self:
        """Connect, authenticate and open indexes, all within `timeout` seconds.

        Later the timeout holds for each answer.

        Raises `ServerError` if the server refuses the secret (3 unauth) or an index (`open_table`,
        `idxnum`, `fld`), `DeadlineExceeded`, and `ConnectionLost` if no server listens.
        """
        client: Self | None = None
        try:
            async with asyncio.timeout(timeout):
                loop = asyncio.get_running_loop()
                _, pipeline = await loop.create_connection(lambda: Pipeline(timeout), host, port)
                client = cls(pipeline)
                if secret is not None:
                    await pipeline.ask(frames.auth(secret), read_nothing)
                for index in indexes:
                    await client.open_index(index)
                return client
        except BaseException as error:
            if client is not None:
                client.pipeline.abort()
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded(f"HandlerSocket at {host}:{port} wasn't ready within {timeout} s") from None
            if isinstance(error, OSError) and not isinstance(error, HandlerSocketError):
                reason = error.strerror or error  # a name with several addresses has several reasons, and no strerror
                raise ConnectionLost(f"HandlerSocket at {host}:{port} can't be reached: {reason}") from error
            raise

    async def aclose(self) -> None:
        """Wait for the answers under way, as long as an answer may take, then close."""
        await self.pipeline.aclose()

    async def open_index(self, index: Index) -> None:
        """Open an index; see `frames.open_index`.

        An id is for one index, as long as the connection lives.

        With another under the same id a search that is on its way could be answered from the wrong table.
        """
        try:
            await self.pipeline.ask(self._opening(index), read_nothing)
        except ServerError:
            self._indexes.pop(index.id, None)
            raise

    async def ask_opened(self, index: Index, request: Callable[[], Awaitable[T]]) -> T:
        """Make a request of an index, which is opened ahead of it if it isn't open yet.

        Both take the same round trip.
        """
        if self._indexes.get(index.id) == index:
            return await request()
        if not self.pipeline.has_room:
            await self.open_index(index)
            return await request()
        opening = asyncio.ensure_future(self.pipeline.ask(self._opening(index), read_nothing))
        opening.add_done_callback(lambda opening: self._opened(index, opening))
        try:
            return await request()
        except ServerError:
            opening.result()  # its error says why
            raise

    def _opening(self, index: Index) -> bytes:
        line = frames.open_index(index.id, index.database, index.table, index.name, index.columns, index.filter_columns)
        if index.echo is not None and not 0 <= index.echo < len(index.columns):
            raise LocalProtocolError("echo is the position of the key's own column among the columns")
        if self._indexes.setdefault(index.id, index) != index:
            raise LocalProtocolError(f"index id {index.id} is taken on this connection: open this one under another")
        return line

    def _opened(self, index: Index, opening: asyncio.Future[None]) -> None:
        if opening.exception() is not None:
            self._indexes.pop(index.id, None)

    async def find(self, index: Index, where: Where) -> list[Row]:
        """Find rows, and return each as the values of the index's columns.

        See `frames.find`.
        """
        self._check(index, where)
        rows: list[Row] = await self.pipeline.ask(frames.find(index.id, where), _rows(index, where))
        return rows

    async def insert(self, index: Index, values: Sequence[Value]) -> int | None:
        """Insert a row, and return the number that AUTO_INCREMENT gave it, if any.

        `values` has one value for each column of the index.

        Raises a `ServerError` that `is_duplicate` if there is a row with this key.
        """
        self._check_values(index, values)
        number: int | None = await self.pipeline.ask(frames.insert(index.id, values), read_inserted)
        return number

    async def update(self, index: Index, where: Where, values: Sequence[Value]) -> int:
        """Set all of the index's columns, and return the number of rows found.

        Rows count whether the values change them or not. A None for a column that is NOT NULL leaves it as it
        is.
        """
        count: int = await self.pipeline.ask(self._modify(index, where, "U", values), read_count)
        return count

    async def delete(self, index: Index, where: Where) -> int:
        """Delete rows, and return their number."""
        count: int = await self.pipeline.ask(self._modify(index, where, "D", ()), read_count)
        return count

    async def increment(self, index: Index, where: Where, amounts: Sequence[int | None]) -> int:
        """Add to the index's columns of numbers, and return the number of rows.

        A None leaves its column alone.
        """
        count: int = await self.pipeline.ask(self._modify(index, where, "+", amounts), read_count)
        return count

    async def decrement(self, index: Index, where: Where, amounts: Sequence[int | None]) -> int:
        """Subtract, as `increment` adds, and return the number of rows.

        Rows in which a number would change its sign stay as they are, uncounted.
        """
        count: int = await self.pipeline.ask(self._modify(index, where, "-", amounts), read_count)
        return count

    async def fetch_and_update(self, index: Index, where: Where, values: Sequence[Value]) -> list[Row]:
        """Update as `update` does, and return the rows as they were before."""
        rows: list[Row] = await self.pipeline.ask(self._modify(index, where, "U?", values), _rows(index, where))
        return rows

    async def fetch_and_delete(self, index: Index, where: Where) -> list[Row]:
        """Delete as `delete` does, and return the deleted rows."""
        rows: list[Row] = await self.pipeline.ask(self._modify(index, where, "D?", ()), _rows(index, where))
        return rows

    async def fetch_and_increment(self, index: Index, where: Where, amounts: Sequence[int | None]) -> list[Row]:
        """Increment as `increment` does, and return the rows as they were before."""
        rows: list[Row] = await self.pipeline.ask(self._modify(index, where, "+?", amounts), _rows(index, where))
        return rows

    async def fetch_and_decrement(self, index: Index, where: Where, amounts: Sequence[int | None]) -> list[Row]:
        """Decrement as `decrement` does, and return the rows as they were before.

        Rows that were left alone are among them.
        """
        rows: list[Row] = await self.pipeline.ask(self._modify(index, where, "-?", amounts), _rows(index, where))
        return rows

    def _modify(self, index: Index, where: Where, change: Change, values: Sequence[Value]) -> bytes:
        self._check(index, where)
        if change not in ("D", "D?"):
            self._check_values(index, values)
        return frames.modify(index.id, where, change, values)

    def _check(self, index: Index, where: Where) -> None:
        """Refuse positions that the index doesn't have, since not every server does."""
        self._check_open(index)
        for one in where.filters:
            if one.column >= len(index.filter_columns):
                raise LocalProtocolError("a filter names a column by its position among the index's filter columns")
        if where.within is not None and where.within.column >= len(where.keys):
            raise LocalProtocolError("a list of values names a column by its position among the keys")

    def _check_values(self, index: Index, values: Sequence[Value]) -> None:
        """Refuse values that aren't one for each column.

        The server sets columns that no value was sent for to zero, or to nothing.
        """
        self._check_open(index)
        if len(values) != len(index.columns):
            columns = len(index.columns)
            raise LocalProtocolError(f"index {index.id} was opened for {columns} columns: give each of them its value")

    def _check_open(self, index: Index) -> None:
        opened = self._indexes.get(index.id)
        if opened is not index and opened != index:
            raise LocalProtocolError(f"index {index.id} isn't open on this connection: call open_index first")


def _rows(index: Index, where: Where) -> RowsReader:
    asked = where.keys[0] if where.comparison == "=" and where.within is None else None
    return RowsReader(index, asked)
