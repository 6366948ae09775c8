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
from .errors import is_statement_error
from .url import address_of

_IDLE_SECONDS = 240.0
"""Firewalls and load balancers forget connections that were silent for five minutes or more."""
_KEEPALIVE = [
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)  # not on every system
]
"""Seconds of silence before a probe, between probes, and how many go unanswered before the connection is lost."""


class OwnedPool:
    """Up to `size` connections to the server of a URL, made as they are needed.

    All are of one event loop. A request that finds none idle waits for the first of two: a connection that is
    released, or one that is made for the waiters.
    """

    counts_found_rows = True

    def __init__(self, settings: Mapping[str, Any], *, size: int, timeout: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.address = address_of(settings)
        self._settings = {
            **settings,
            "client_flag": FOUND_ROWS,
            "autocommit": None,  # init_command does it with the rest, in one round trip
            "connect_timeout": timeout + 1,  # the deadline around the whole connect comes first
            "init_command": _init_command(timeout),
        }
        self._size = size
        self._timeout = timeout
        self._count = 0
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[Connection]] = deque()
        # Each attempt, with the waiter that it is for.
        self._connecting: dict[asyncio.Task[Connection], asyncio.Future[Connection]] = {}
        self._closed = False

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        connection = self._checkout() or await self._wait_for_connection()
        try:
            yield connection
        except BaseException as error:
            if is_statement_error(error):
                self._release(connection)
            else:
                self._discard(connection)
            raise
        self._release(connection)

    async def aclose(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        self._closed = True
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(StoreUnavailable("the store was closed while a request waited for a connection"))
        for task in self._connecting:
            task.cancel()
        idle, self._idle = self._idle, []
        closing = [self._close_gracefully(connection) for connection in idle]
        await asyncio.gather(*closing, *self._connecting, return_exceptions=True)

    def abandon(self) -> None:
        """Close the sockets without their event loop.

        It can't run any more, or belongs to a parent process.
        """
        for connection in self._open:
            close_without_loop(cast(Any, connection)._transport)

    def forget_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            self._discard(connection)

    async def _close_gracefully(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await connection.ensure_closed()
        finally:
            self._discard(connection)

    # Decisions, without any I/O

    def _checkout(self) -> Connection | None:
        """Return the idle connection that was used last, so that surplus ones grow old."""
        while self._idle:
            connection = self._idle.pop()
            if _is_usable(connection) and self.loop.time() - connection.last_usage < _IDLE_SECONDS:
                return connection
            self._discard(connection)
        return None

    def _release(self, connection: Connection) -> None:
        """Pass the connection to the first waiter, or make it idle."""
        if self._closed or not _is_usable(connection):
            self._discard(connection)
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)

    def _discard(self, connection: Connection) -> None:
        discard(connection)
        self._open.discard(connection)
        self._count -= 1
        self._connect_for_waiters()

    def _next_waiter(self) -> asyncio.Future[Connection] | None:
        while self._waiters:
            if not (waiter := self._waiters.popleft()).done():
                return waiter
        return None

    def _connect_for_waiters(self) -> None:
        while self._count < self._size and len(self._connecting) < len(self._waiters) and not self._closed:
            self._count += 1
            task = self.loop.create_task(self._connect())
            self._connecting[task] = self._waiters[-1]
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[Connection]) -> None:
        waiter = self._connecting.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._open.add(task.result())
            self._release(task.result())
            return
        self._count -= 1
        if waiter in self._waiters and not waiter.done():  # later waiters get another attempt, not this failure
            self._waiters.remove(waiter)
            waiter.set_exception(error)
        self._connect_for_waiters()

    # Waiting

    async def _wait_for_connection(self) -> Connection:
        waiter: asyncio.Future[Connection] = self.loop.create_future()
        self._waiters.append(waiter)
        self._connect_for_waiters()
        try:
            return await waiter
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:  # it came just as the caller went
                self._release(waiter.result())
            raise

    async def _connect(self) -> Connection:
        """Connect within half the operation timeout.

        So a waiter can retry after a hung attempt.
        """
        async with asyncio.timeout(self._timeout / 2):
            try:
                connection = await connect(**self._settings)
            except RuntimeError as error:  # asyncmy on uvloop, if the server closed the connection at once
                raise ConnectionResetError("MySQL closed a connection that was just made") from error
        if not self._settings["unix_socket"]:
            _keep_alive(connection)
        return connection


def _init_command(timeout: float) -> str:
    """Return the statement that sets up a strict, autocommitting connection.

    On it the server gives up on a statement when the store does. MySQL knows no limit for the time of a write
    and skips the comment. Both wait for locks in whole seconds, and must have given up, and said so, before
    the store does.
    """
    wait = max(1, int(timeout / 3))
    return (
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES', SESSION autocommit = 1,"
        f" SESSION innodb_lock_wait_timeout = {wait}, SESSION lock_wait_timeout = {wait}"
        f" /*M!100101 , SESSION max_statement_time = {timeout:f} */"
    )


def _keep_alive(connection: Any) -> None:
    """Let the system find out in about a minute that packets vanish.

    The probes also show firewalls that the connection is in use. asyncmy turns keepalive on, but the system's
    own first probe comes after two hours.
    """
    sock = connection._transport.get_extra_info("socket")
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _is_usable(connection: Any) -> bool:
    """Return whether the server still has the connection open.

    asyncmy's own pool makes the same check.
    """
    return not connection._stream_broken
