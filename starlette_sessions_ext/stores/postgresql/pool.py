"""Connections to PostgreSQL, made from a URL for one event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, cast

from asyncpg import Connection, create_pool

from .._support.loop_local import close_without_loop
from .connections import Lender
from .errors import DRIVER_ERRORS
from .url import address_of

_IDLE_SECONDS = 240.0
"""Firewalls and load balancers forget connections that were silent for five minutes or more."""


class SessionConnection(Connection):
    """A connection on which each statement stands alone, so that none needs a reset."""

    def get_reset_query(self) -> str:
        return ""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own signature
        """Close it, and ignore a server that gives no answer.

        The pool does this where no caller waits.
        """
        with suppress(*DRIVER_ERRORS):
            await super().close(timeout=timeout)

    def abandon(self) -> None:
        """Close the socket where the loop can't run.

        Nothing is sent: a parent process may share it.
        """
        close_without_loop(cast(Any, self)._transport)
        self._aborted = True


class OwnedPool:
    """Up to `size` connections to the server of a URL, made as they are needed.

    All are of one event loop. `timeout` is the budget of an operation in seconds. A connection has a third of
    it to be made, so that an operation whose connection hangs has time for another.
    """

    def __init__(self, settings: Mapping[str, Any], *, size: int, timeout: float) -> None:
        self.address = address_of(settings)
        self._timeout = timeout
        self._connections: weakref.WeakSet[SessionConnection] = weakref.WeakSet()
        self._pool = create_pool(
            **settings,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=_IDLE_SECONDS,
            timeout=timeout / 3,
            command_timeout=timeout,
            connection_class=SessionConnection,
            init=self._add,
        )
        with suppress(StopIteration):  # at once: a pool of no connections has nothing to wait for
            self._pool.__await__().send(None)
        self._lender = Lender(self._pool, timeout)

    def acquire(self) -> AbstractAsyncContextManager[Any]:
        return self._lender.acquire()

    async def forget_idle(self) -> None:
        await self._pool.expire_connections()

    async def aclose(self) -> None:
        """Wait for what is in use, and close it all."""
        await self._lender.wait_closed()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._pool.close(), self._timeout)

    def abandon(self) -> None:
        for connection in self._connections:
            connection.abandon()

    async def _add(self, connection: Connection[Any]) -> None:
        self._connections.add(cast(SessionConnection, connection))
