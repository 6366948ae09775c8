"""The connections of a `RedisStore` that was given a URL.

A firewall or load balancer forgets connections that were silent for minutes, and what is sent on
them then vanishes. So a connection that was idle for long is replaced, keepalive probes keep the
others known, and after a load that got no answer all that were idle then are replaced.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ...errors import ConfigurationError
from .._support.loop_local import close_without_loop

_IDLE_SECONDS = 240.0
"""Firewalls and load balancers forget connections that were silent for five minutes or more."""

_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds of silence before the first probe, seconds between probes, and how many fail before the end."""

_LOOKS_LIKE = (
    "a Redis URL looks like redis://USER:PASSWORD@host:6379/0, rediss://... for TLS, or"
    " unix://:PASSWORD@/path/of/the.sock?db=0; / @ : # ? and % in a password are percent-encoded"
)


class Pool(BlockingConnectionPool):
    """Connections of one event loop, of which none is used that may have been forgotten."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: dict[Any, float] = {}
        self._distrusted = float("-inf")

    def distrust(self) -> None:
        """Replace, when they are next needed, the connections that are idle now."""
        self._distrusted = asyncio.get_running_loop().time()

    def abandon(self) -> None:
        """Close the sockets without the event loop, which can't run any more."""
        for connection in self._used:
            if connection._writer is not None:
                close_without_loop(connection._writer.transport)
                connection._reader = connection._writer = None

    async def ensure_connection(self, connection: Any) -> None:
        used = self._used.setdefault(connection, asyncio.get_running_loop().time())
        oldest = max(self._distrusted, asyncio.get_running_loop().time() - _IDLE_SECONDS)
        if used < oldest and connection.is_connected:
            await connection.disconnect(nowait=True)
        try:
            await super().ensure_connection(connection)
        except BaseException:
            # redis-py 5 leaves one over a socket open that wasn't admitted, or has another database selected.
            await connection.disconnect(nowait=True)
            raise

    async def release(self, connection: Any) -> None:
        self._used[connection] = asyncio.get_running_loop().time()
        await super().release(connection)


def make_pool(url: str, *, timeout: float, size: int) -> Pool:
    """Make the pool of a URL, whose query may set redis-py's options.

    It asks once: a second try of redis-py could run a command twice. Raises `ConfigurationError`, in
    which nothing of the URL is repeated.
    """
    try:
        scheme = _checked_scheme(url)
        pool = Pool.from_url(
            url,
            max_connections=size,
            timeout=None,  # the deadline of the operation is what ends the wait for a connection
            socket_timeout=timeout,
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
    """The scheme; ValueError for what redis-py would take for something else, such as half of a password for a port."""
    parts = urlsplit(url)
    is_socket = parts.scheme == "unix"
    path = parts.path if is_socket else parts.path or "/"
    database = is_socket or re.fullmatch(r"/[0-9]*", path)
    misplaced = "@" in parts.query and "@" not in parts.netloc
    if not path or not database or parts.fragment or misplaced:
        raise ValueError
    return parts.scheme


def _keepalive() -> dict[str, Any]:
    """As far as the system has these options."""
    probes = {getattr(socket, name): value for name, value in _PROBES.items() if hasattr(socket, name)}
    return {"socket_keepalive": True, "socket_keepalive_options": probes}
