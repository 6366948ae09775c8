"""The connections of a `RedisStore` that was given a URL.

A firewall or load balancer forgets connections that were silent for minutes, and what is sent on
them then vanishes. So a connection that was idle for long is replaced, keepalive probes keep the
others known, and after a load that got no answer all that were idle then are replaced.

Commands of the store itself go over these connections without the client's wrapping, which costs
more than all the rest; see `Pool.execute`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from ...errors import ConfigurationError
from .._support.loop_local import close_without_loop

_IDLE_SECONDS = 240.0
"""Firewalls and load balancers forget connections that were silent for five minutes or more."""

_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds of silence before the first probe, seconds between probes, and how many fail before the end."""

_LOOKS_LIKE = (
    "a Redis URL looks like redis://USER:PASSWORD@host:6379/0, rediss://... for TLS, or"
    " unix://:PASSWORD@/path/of/the.sock?db=0; / @ : # ? and % in a password are percent-encoded; valkey:// is the same"
    " as redis://, and valkeys:// as rediss://"
)
_VALKEY = re.compile("valkey(?=s?://)", re.IGNORECASE)


class Pool(ConnectionPool):
    """Connections of one event loop, none of which may have been forgotten.

    A task waits where all are in use; the deadline of its operation ends the wait.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: dict[Any, float] = {}
        self._expired_at = float("-inf")
        self._waiting: deque[asyncio.Future[Any]] = deque()

    async def execute(self, *arguments: bytes | str | int) -> Any:
        """Send a command once and return its reply.

        Nothing else uses the connection until then.

        Raises `ResponseError` for an error reply. After anything else that isn't a whole reply, a
        cancellation included, the connection is closed: what comes late on it reaches nobody.
        """
        connection = self._take() or await self.get_connection()
        try:
            await connection.send_packed_command(_packed(arguments))
            return await connection.read_response()
        except ResponseError:
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            self._give(connection)

    def expire_idle(self) -> None:
        """Replace, when they are next needed, the connections that are idle now."""
        self._expired_at = asyncio.get_running_loop().time()

    def abandon(self) -> None:
        """Close the sockets without the event loop, which can't run any more."""
        for connection in self._used:
            if connection._writer is not None:
                close_without_loop(connection._writer.transport)
                connection._reader = connection._writer = None

    async def get_connection(self, command_name: object = None, *keys: object, **options: object) -> Any:
        """Take a connection, or wait for one.

        redis-py's client calls this as well, in old versions with arguments.
        """
        if (connection := self._take()) is not None:
            return connection
        untyped: Any = super()
        connection = untyped.get_available_connection() if self.can_get_connection() else await self._wait()
        try:
            await self.ensure_connection(connection)
        except BaseException:
            self._give(connection)
            raise
        return connection

    async def ensure_connection(self, connection: Any) -> None:
        used = self._used.setdefault(connection, asyncio.get_running_loop().time())
        if used < self._oldest() and connection.is_connected:
            await connection.disconnect(nowait=True)
        try:
            await super().ensure_connection(connection)
        except BaseException:
            # redis-py 5 leaves one over a socket open that wasn't admitted, or has another database selected.
            await connection.disconnect(nowait=True)
            raise

    async def release(self, connection: Any) -> None:
        self._give(connection)

    def _take(self) -> Any | None:
        """Return the connection that was used last, if it is ready."""
        idle = self._available_connections
        if not idle or not self._is_ready(idle[-1]):
            return None
        connection = idle.pop()
        self._in_use_connections.add(connection)
        return connection

    def _give(self, connection: Any) -> None:
        """Hand a connection to the task that has waited for the longest, or keep it."""
        self._used[connection] = asyncio.get_running_loop().time()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)

    async def _wait(self) -> Any:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except BaseException:
            if not waiter.cancelled():  # it was handed over in the same moment
                self._give(waiter.result())
            raise

    def _is_ready(self, connection: Any) -> bool:
        """Return whether a connection is open and known, and has no unread bytes.

        No task waits for such bytes.
        """
        reader, writer = connection._reader, connection._writer
        if reader is None or self._used[connection] < self._oldest():
            return False
        return not (writer.is_closing() or reader.at_eof() or reader._buffer)

    def _oldest(self) -> float:
        """Return the time before whose last use a connection isn't trusted.

        It is the loop's time.
        """
        return max(self._expired_at, asyncio.get_running_loop().time() - _IDLE_SECONDS)


def _packed(arguments: Iterable[bytes | str | int]) -> bytes:
    """Write a command as Redis reads it: an array of strings.

    This is faster than redis-py's `pack_command`. Source:
    redis.io/docs/latest/develop/reference/protocol-spec.
    """
    encoded = [argument if type(argument) is bytes else str(argument).encode() for argument in arguments]
    parts = [b"*%d\r\n" % len(encoded)]
    for argument in encoded:
        parts += (b"$%d\r\n" % len(argument), argument, b"\r\n")
    return b"".join(parts)


def make_pool(url: str, *, timeout: float, size: int) -> Pool:
    """Make the pool of a URL, whose query may set redis-py's options.

    It asks once: a second try of redis-py could run a command twice. Raises `ConfigurationError`, in
    which nothing of the URL is repeated.
    """
    url = _VALKEY.sub("redis", url, count=1) if _VALKEY.match(url) else url
    try:
        scheme = _checked_scheme(url)
        pool = Pool.from_url(
            url,
            max_connections=size,
            socket_timeout=None,  # each operation has a deadline, and one of redis-py's would cost as much again
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # under 3 redis-py 8 hands out connections that the server has closed
            **({} if scheme == "unix" else _keepalive()),
        )
        pool.connection_class(**pool.connection_kwargs)  # an option that there isn't shows only here
    except (ValueError, TypeError, AttributeError, RedisError):
        raise ConfigurationError(_LOOKS_LIKE) from None
    return pool


def _checked_scheme(url: str) -> str:
    """Return the scheme, or raise ValueError.

    It refuses what redis-py would take for something else, such as half of a password for a port.
    """
    parts = urlsplit(url)
    is_socket = parts.scheme == "unix"
    path = parts.path if is_socket else parts.path or "/"
    database = is_socket or re.fullmatch(r"/[0-9]*", path)
    misplaced = "@" in parts.query and "@" not in parts.netloc
    if not path or not database or parts.fragment or misplaced:
        raise ValueError
    return parts.scheme


def _keepalive() -> dict[str, Any]:
    """Return the keepalive options, as far as the system has them."""
    probes = {getattr(socket, name): value for name, value in _PROBES.items() if hasattr(socket, name)}
    return {"socket_keepalive": True, "socket_keepalive_options": probes}
