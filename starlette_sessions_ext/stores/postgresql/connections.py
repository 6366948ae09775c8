"""Get connections from a pool of asyncpg's, and run statements on them.

One rule holds wherever they come from: a connection on which anything went wrong while its answer
was under way is closed and never used again, so nobody gets the answer to another's question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol

from asyncpg import Pool

from .._support.shielding import wait_all
from .errors import DRIVER_ERRORS, is_statement_error


class Connections(Protocol):
    """A source of connections for a store."""

    address: str
    """The server's name for messages, without user or password."""

    def acquire(self) -> AbstractAsyncContextManager[Any]:
        """Lend a connection for one statement."""
        ...

    async def forget_idle(self) -> None:
        """Use none of the connections that are idle now: one of them gave no answer."""
        ...

    async def aclose(self) -> None:
        """Close what this made."""
        ...

    def abandon(self) -> None:
        """Close the sockets of what this made, without its event loop."""
        ...


class Lender:
    """Lend the connections of a pool, and close those that are in an unknown state.

    asyncpg asks the server to cancel a statement that is given up, over another connection, and waits
    for the answer. Nobody waits for that here: it takes up to `timeout` seconds in the background.
    """

    def __init__(self, pool: Pool[Any], timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        try:
            connection = await self._pool.acquire()
        except TimeoutError:  # one that was being made gave no sign; another may be idle by now
            connection = await self._pool.acquire()
        try:
            yield connection
        except BaseException as error:
            if is_statement_error(error):
                await self._pool.release(connection)
            else:
                self._close(connection)
            raise
        await self._pool.release(connection)

    async def wait_closed(self) -> None:
        """Wait until the connections are closed that were given up."""
        await wait_all(self._closing, self._timeout)

    def _close(self, connection: Any) -> None:
        task = asyncio.get_running_loop().create_task(_close(connection, self._timeout))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def execute(connection: Any, statement: str, *values: object) -> int:
    """Execute one statement, and return how many rows it changed or inserted."""
    tag: str = await connection.execute(statement, *values)
    return int(tag.rpartition(" ")[2])


async def _close(connection: Any, seconds: float) -> None:
    with suppress(*DRIVER_ERRORS):
        await connection.close(timeout=seconds)
