"""Connections to MySQL and MariaDB, made from a URL for one event loop.

The pool here is not asyncmy's, which holds its lock while it connects: one stalled connect would then
block every request, also those that could use an idle connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from asyncmy import Connection, connect
from asyncmy.constants.CLIENT import FOUND_ROWS

from ...errors import StoreUnavailable
from .._support.loop_local import close_without_loop
from .connections import discard
from .errors import is_answer
from .url import place_of

_IDLE_SECONDS = 240.0
"""Firewalls and load balancers forget connections that were silent for five minutes or more."""
_KEEPALIVE = [
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)  # not on every system
]
"""Seconds of silence before a probe, between probes, and how many go unanswered before the connection is lost."""


class OwnPool:
    """Up to `size` connections to the server of a URL, of one event loop, made as they are needed.

    Who finds none idle waits in line for whichever comes first: one that somebody gives back, or
    one that is dialed meanwhile.
    """

    counts_found_rows = True

    def __init__(self, settings: Mapping[str, Any], *, size: int, timeout: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.place = place_of(settings)
        self._settings = {
            **settings,
            "client_flag": FOUND_ROWS,
            "autocommit": None,  # init_command does it with the rest, in one round trip
            "connect_timeout": timeout + 1,  # the deadline around the whole dial comes first
            "init_command": _init_command(timeout),
        }
        self._size = size
        self._timeout = timeout
        self._count = 0
        self._made: set[Connection] = set()
        self._idle: list[Connection] = []
        self._line: deque[asyncio.Future[Connection]] = deque()
        self._dials: dict[asyncio.Task[Connection], asyncio.Future[Connection]] = {}  # each with who it is for
        self._closed = False

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        connection = self._take() or await self._wait_in_line()
        try:
            yield connection
        except BaseException as error:
            if is_answer(error):
                self._give(connection)
            else:
                self._drop(connection)
            raise
        self._give(connection)

    async def aclose(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        self._closed = True
        while (waiter := self._first_in_line()) is not None:
            waiter.set_exception(StoreUnavailable("the store was closed while a request waited for a connection"))
        for dial in self._dials:
            dial.cancel()
        idle, self._idle = self._idle, []
        farewells = [self._say_goodbye(connection) for connection in idle]
        await asyncio.gather(*farewells, *self._dials, return_exceptions=True)

    def abandon(self) -> None:
        """Close the sockets, where the event loop can't run any more or belongs to a parent process."""
        for connection in self._made:
            close_without_loop(cast(Any, connection)._transport)

    def forget_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            self._drop(connection)

    async def _say_goodbye(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await connection.ensure_closed()
        finally:
            self._drop(connection)

    # Decisions, without any I/O

    def _take(self) -> Connection | None:
        """The idle connection that was used last, so that those too many grow old."""
        while self._idle:
            connection = self._idle.pop()
            if _usable(connection) and self.loop.time() - connection.last_usage < _IDLE_SECONDS:
                return connection
            self._drop(connection)
        return None

    def _give(self, connection: Connection) -> None:
        """To whoever is first in line, or to the idle ones."""
        if self._closed or not _usable(connection):
            self._drop(connection)
        elif (waiter := self._first_in_line()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        discard(connection)
        self._made.discard(connection)
        self._count -= 1
        self._dial_for_the_line()

    def _first_in_line(self) -> asyncio.Future[Connection] | None:
        while self._line:
            if not (waiter := self._line.popleft()).done():
                return waiter
        return None

    def _dial_for_the_line(self) -> None:
        while self._count < self._size and len(self._dials) < len(self._line) and not self._closed:
            self._count += 1
            dial = self.loop.create_task(self._dial())
            self._dials[dial] = self._line[-1]
            dial.add_done_callback(self._dialed)

    def _dialed(self, dial: asyncio.Task[Connection]) -> None:
        asker = self._dials.pop(dial)
        error = asyncio.CancelledError() if dial.cancelled() else dial.exception()
        if error is None:
            self._made.add(dial.result())
            self._give(dial.result())
            return
        self._count -= 1
        if asker in self._line and not asker.done():  # who came later gets a dial of their own, not this failure
            self._line.remove(asker)
            asker.set_exception(error)
        self._dial_for_the_line()

    # Waiting

    async def _wait_in_line(self) -> Connection:
        waiter: asyncio.Future[Connection] = self.loop.create_future()
        self._line.append(waiter)
        self._dial_for_the_line()
        try:
            return await waiter
        except BaseException:
            if waiter in self._line:
                self._line.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:  # it came just as the caller went
                self._give(waiter.result())
            raise

    async def _dial(self) -> Connection:
        """Within half of an operation's budget: who waits behind a dial that hangs has time for another."""
        async with asyncio.timeout(self._timeout / 2):
            try:
                connection = await connect(**self._settings)
            except RuntimeError as error:  # asyncmy on uvloop, if the server closed the connection at once
                raise ConnectionResetError("MySQL closed a connection that was just made") from error
        if not self._settings["unix_socket"]:
            _keep_alive(connection)
        return connection


def _init_command(timeout: float) -> str:
    """A strict, autocommitting connection, on which the server gives up on a statement when the store does.

    MySQL knows no limit for the time of a write and skips the comment. Both wait for locks in whole
    seconds, and must have given up, and said so, before the store does.
    """
    wait = max(1, int(timeout / 3))
    return (
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES', SESSION autocommit = 1,"
        f" SESSION innodb_lock_wait_timeout = {wait}, SESSION lock_wait_timeout = {wait}"
        f" /*M!100101 , SESSION max_statement_time = {timeout:f} */"
    )


def _keep_alive(connection: Any) -> None:
    """Let the system find out in about a minute that packets vanish, and firewalls see that it is in use.

    asyncmy turns keepalive on, but the system's own first probe comes after two hours.
    """
    sock = connection._transport.get_extra_info("socket")
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _usable(connection: Any) -> bool:
    """Whether the server hasn't closed it; asyncmy's own pool asks the same."""
    return not connection._stream_broken
