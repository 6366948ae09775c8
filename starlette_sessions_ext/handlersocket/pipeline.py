"""Lines to a HandlerSocket port and answers back, on asyncio.

Requests are pipelined: hundreds may be under way at once. Those of one turn of the event loop leave
in one write, or as soon as those before them are answered. A request is handed over in whole lines, so a
cancelled caller leaves no half line behind. `connection` explains why it leaves no answer to the next either.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable
from typing import Any, NamedTuple, cast

from .connection import Connection, Reader
from .errors import ConnectionLost, DeadlineExceeded, HandlerSocketError, RemoteProtocolError

_HIGH_WATER = 1024 * 1024
"""With more than this unsent, requests wait until the server has taken some."""

_ACKNOWLEDGE = getattr(socket, "TCP_QUICKACK", socket.TCP_NODELAY)
"""Only Linux has the option; what is set elsewhere is set already."""


_KEEPALIVE = [
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)  # not on every system
]
"""Seconds of silence before a probe, between probes, and how many go unanswered before the connection is lost."""


class _Slot(NamedTuple):
    answer: asyncio.Future[Any]
    deadline: float


class Pipeline(asyncio.Protocol):
    """The protocol for `loop.create_connection`.

    `timeout` is in seconds, for each answer.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.last_used = 0.0
        self._loop = asyncio.get_running_loop()
        self._connection: Connection[_Slot] = Connection()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._line: deque[asyncio.Future[None]] = deque()  # callers that wait until there is room to write
        self._watch: asyncio.TimerHandle | None = None
        self._lost = self._loop.create_future()

    @property
    def transport(self) -> asyncio.Transport | None:
        """The event loop's transport; None before the connection is made."""
        return self._transport

    @property
    def in_flight(self) -> int:
        """The number of answers that are still to come."""
        return self._connection.in_flight

    @property
    def is_usable(self) -> bool:
        """Whether the connection takes requests."""
        return self._connection.error is None

    @property
    def has_room(self) -> bool:
        """Whether a request is sent at once.

        Otherwise it waits until the server has taken earlier ones.
        """
        return not self._paused and self._connection.unsent_bytes < _HIGH_WATER

    def ask(self, line: bytes, read: Reader) -> Awaitable[Any]:
        """Send a line, now if there is room, and return what `read` makes of the answer.

        Raises `ServerError` where the server answers that the request failed. When the connection ends,
        all waiting calls raise `ConnectionLost`, `DeadlineExceeded` or `RemoteProtocolError`.
        """
        return self._send(line, read) if self.has_room else self._send_later(line, read)

    async def aclose(self) -> None:
        """Wait up to `timeout` seconds for the answers under way, then close."""
        try:
            if self.in_flight:
                await asyncio.wait([slot.answer for slot in self._connection.slots], timeout=self.timeout)
        finally:
            self.abort()
        await asyncio.wait([self._lost], timeout=self.timeout)

    def abort(self) -> None:
        """Close at once. Callers that wait for an answer get `ConnectionLost`."""
        self._end(ConnectionLost("the connection to HandlerSocket was closed"))

    # Sending

    def _send(self, line: bytes, read: Reader) -> asyncio.Future[Any]:
        """Queue a request without waiting.

        Once this has returned, the server may carry it out.
        """
        if self._connection.error is not None:
            raise ConnectionLost("the connection to HandlerSocket is closed") from self._connection.error
        now = self._loop.time()
        slot = _Slot(self._loop.create_future(), now + self.timeout)
        if not self._connection.unsent_bytes:
            self._loop.call_soon(self._flush)
        self._connection.ask(line, read, slot)
        self.last_used = now
        if self._watch is None:
            self._watch = self._loop.call_at(slot.deadline, self._look)
        return slot.answer

    def _flush(self) -> None:
        """Write all requests that wait, at once.

        They are those of this turn of the event loop, and those that waited for the batch before.
        """
        batch = self._connection.next_batch()
        if batch and self._transport is not None:
            self._transport.write(batch)
        if self._line and self.has_room:
            self._wake()

    async def _send_later(self, line: bytes, read: Reader) -> Any:
        """Send a line once the server has taken what was written."""
        deadline = self._loop.time() + self.timeout
        while not self.has_room:
            turn: asyncio.Future[None] = self._loop.create_future()
            self._line.append(turn)
            await asyncio.wait([turn], timeout=deadline - self._loop.time())
            if not turn.done():
                raise DeadlineExceeded("HandlerSocket took no request within the deadline; it wasn't sent")
        return await self._send(line, read)

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none, but does as one
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        try:
            for slot, answer in self._connection.receive(data):
                if isinstance(answer, HandlerSocketError):
                    _fail(slot, answer)
                elif not slot.answer.done():
                    slot.answer.set_result(answer)
            if self._connection.in_flight:
                self._acknowledge()
        except RemoteProtocolError as error:
            self._end(error)
        if self._connection.unsent_bytes:
            self._loop.call_soon(self._flush)  # after callers with answers have asked again

    def connection_lost(self, error: Exception | None) -> None:
        self._end(ConnectionLost("HandlerSocket closed the connection"))
        self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    def _acknowledge(self) -> None:
        """Let the system acknowledge what has come, so that the server sends more.

        The server sends the next answer only then (Nagle's algorithm). Without that the system waits up to 40
        ms for something to send along.
        """
        self._socket.setsockopt(socket.IPPROTO_TCP, _ACKNOWLEDGE, 1)

    def _wake(self) -> None:
        line, self._line = self._line, deque()
        for turn in line:
            turn.set_result(None)

    # The end

    def _look(self) -> None:
        """End the connection if an answer is overdue.

        A late answer must not be taken for another. One timer serves all slots; most are long answered when
        it rings, and then it is set anew.
        """
        self._watch = None
        now = self._loop.time()
        slots = list(self._connection.slots)
        overdue = [slot for slot in slots if slot.deadline <= now]
        for slot in overdue:
            _fail(slot, DeadlineExceeded("HandlerSocket didn't answer within the deadline"))
        if overdue:
            self._end(ConnectionLost("HandlerSocket left an earlier request unanswered"))
        elif slots:
            self._watch = self._loop.call_at(slots[0].deadline, self._look)

    def _end(self, error: HandlerSocketError) -> None:
        """End the connection, and fail all callers that wait on it."""
        for slot in self._connection.fail(error):
            _fail(slot, type(error)(*error.args))  # one each, as each gets a separate traceback
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._paused = False
        self._wake()
        if self._transport is not None:
            self._transport.abort()


def _fail(slot: _Slot, error: HandlerSocketError) -> None:
    if not slot.answer.done():  # else the caller has gone
        slot.answer.set_exception(error)
