"""The protocol of one connection, without I/O: match answers to requests.

Answers are matched by their order.

Rules, all of which live in this file:

1. Every request has one slot. Every line from the server, but that for a fence, answers the oldest
   open slot. Slots belong to the connection. A cancelled caller leaves its slot behind: the answer is
   read and discarded, so that no later caller gets it.
2. An answer has to have the shape that was asked for. A line too many, a broken one, a number of
   columns that is wrong, or a row that names another key than the asked one is an error.
3. Requests leave in batches, one at a time, and behind each goes a fence: a line that is answered
   as no request is. Until it is answered in its turn, no answer of the batch counts.
4. An error is final. Nothing that comes after it is read, and nothing more can be asked.

Why a fence: answers have no numbers, and many name nothing. With a line missing from the stream
"inserted" or "not found" would be taken for the answer to the request before. But the server
answers in order, and nothing else is under way: so where the fence's answer comes in its turn, as
many lines came before it as were asked for. A line too few or too many fails the whole batch. What
this can't see is one line missing and another made up in the same batch, or two in each other's
place that name nothing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .errors import HandlerSocketError, LocalProtocolError, RemoteProtocolError, ServerError
from .frames import FENCE, Reply, Row, Value, parse_reply

MAX_LINE_BYTES = 64 * 1024 * 1024
"""The longest line that is read: a MEDIUMTEXT whose every byte is escaped, and room for a few more rows."""

_FENCE_REPLY = Reply(2, 1, (b"cmd",))
_NUMBER = re.compile(rb"[0-9]{1,20}")  # up to 2**64 - 1

Slot = TypeVar("Slot")
Reader = Callable[[Reply], Any]
"""Reads an answer of success into what the caller wants, and raises `RemoteProtocolError` for another shape."""


@dataclass(frozen=True, slots=True)
class Index:
    """A key of a table, opened under a caller's id for some columns.

    See `frames.open_index`. With `echo`, the position of the key's own column among `columns`, a row that
    comes back for `=` has to name the very key that was asked for. Columns in a collation that takes
    different values for one can't have that.
    """

    id: int
    database: str
    table: str
    name: str
    columns: tuple[str, ...]
    filter_columns: tuple[str, ...] = ()
    echo: int | None = None


class Connection(Generic[Slot]):
    """The state of one connection.

    A slot is any object by which the caller knows an answer, such as a future.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.error: HandlerSocketError | None = None
        self.unsent_bytes = 0
        self._unsent: list[bytes] = []
        self._open: deque[tuple[Reader, Slot]] = deque()  # what has no answer yet, sent or not
        self._read: deque[tuple[Slot, Any]] = deque()  # what has one that doesn't count yet
        self._due: int | None = None  # answers that come before the fence's; None between batches
        self._max_line_bytes = max_line_bytes
        self._parts: list[bytes] = []  # of a line whose end hasn't come yet
        self._size = 0

    @property
    def in_flight(self) -> int:
        """The number of answers that haven't come, or that wait for their fence.

        An answer doesn't count before its fence is answered.
        """
        return len(self._read) + len(self._open)

    @property
    def slots(self) -> Iterator[Slot]:
        """The slots of these answers, the oldest first."""
        yield from (slot for slot, _ in self._read)
        yield from (slot for _, slot in self._open)

    def ask(self, line: bytes, read: Reader, slot: Slot) -> None:
        """Take a request for the next batch. Raises `LocalProtocolError` after an error."""
        if self.error is not None:
            raise LocalProtocolError("this connection has failed and can't be asked any more")
        self._open.append((read, slot))
        self._unsent.append(line)
        self.unsent_bytes += len(line)

    def next_batch(self) -> bytes:
        """Return the bytes to send now.

        There are none while a batch is under way, or without new requests.
        """
        if self._due is not None or not self._unsent:
            return b""
        self._due = len(self._open)
        batch = b"".join([*self._unsent, FENCE])
        self._unsent.clear()
        self.unsent_bytes = 0
        return batch

    def receive(self, data: bytes) -> Iterator[tuple[Slot, Any]]:
        """Take bytes from the server; yield the slots whose answers count, with these.

        That is what the slot's reader made of it, or a `ServerError`. Raises `RemoteProtocolError`
        at the first line that can't be right; what was yielded before it was.
        """
        if self.error is not None:
            return
        try:
            for line in self._lines(data):
                reply = parse_reply(line)
                if self._due is None:
                    raise RemoteProtocolError("HandlerSocket sent a line without a request")
                if (reply == _FENCE_REPLY) != (self._due == 0):
                    raise RemoteProtocolError("HandlerSocket sent a line too few, or one too many")
                if self._due:
                    read, slot = self._open[0]
                    self._read.append((slot, read(reply) if reply.code == 0 else _error_of(reply)))
                    self._open.popleft()
                    self._due -= 1
                else:
                    self._due = None
                    while self._read:
                        yield self._read.popleft()
        except RemoteProtocolError as error:
            self.error = error
            raise

    def fail(self, error: HandlerSocketError) -> list[Slot]:
        """End the connection, and return the slots that get no answer any more."""
        self.error = self.error or error
        slots = list(self.slots)
        self._open.clear()
        self._read.clear()
        self._unsent.clear()
        self._parts.clear()
        self.unsent_bytes = 0
        return slots

    def _lines(self, data: bytes) -> Iterator[bytes]:
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
            self._parts, self._size = [], 0
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > self._max_line_bytes:
            raise RemoteProtocolError(f"HandlerSocket sent a line of more than {self._max_line_bytes} bytes")
        yield from lines


def read_nothing(reply: Reply) -> None:
    """Check the answer `0 1`: done."""
    if reply.columns != 1 or reply.values:
        raise _wrong_shape()


def read_inserted(reply: Reply) -> int | None:
    """Read `0 1`, or `0 1 <id>` where the table has an AUTO_INCREMENT column."""
    if reply.values:
        return _number(reply)
    read_nothing(reply)
    return None


def read_count(reply: Reply) -> int:
    """Read `0 1 <n>`, and return the number of changed rows."""
    return _number(reply)


class RowsReader:
    """Read `0 <columns> <values>`: rows, one after the other.

    `key` is the value that `=` asked for, where that can be compared.
    """

    __slots__ = ("_index", "_key")

    def __init__(self, index: Index, key: Value = None) -> None:
        self._index = index
        self._key = key

    def __call__(self, reply: Reply) -> list[Row]:
        width, values = len(self._index.columns), reply.values
        if reply.columns != width or len(values) % width:
            raise _wrong_shape()
        rows = [values] if len(values) == width else [values[at : at + width] for at in range(0, len(values), width)]
        echo = self._index.echo
        if echo is not None and self._key is not None:
            asked = self._key if type(self._key) is bytes else str(self._key).encode()
            if any(row[echo] != asked for row in rows):
                raise RemoteProtocolError("HandlerSocket answered with a row of another key than the asked one")
        return rows


def _error_of(reply: Reply) -> ServerError:
    """Read the error `<code> 1 [<reason>]`."""
    if reply.columns != 1 or len(reply.values) > 1:
        raise _wrong_shape()
    reason = reply.values[0] if reply.values else b""
    return ServerError(reply.code, (reason or b"").decode("ascii", "backslashreplace"))


def _number(reply: Reply) -> int:
    value = reply.values[0] if reply.columns == 1 and len(reply.values) == 1 else None
    if value is None or not _NUMBER.fullmatch(value):
        raise _wrong_shape()
    return int(value)


def _wrong_shape() -> RemoteProtocolError:
    return RemoteProtocolError("HandlerSocket sent an answer of another shape than the asked one")
