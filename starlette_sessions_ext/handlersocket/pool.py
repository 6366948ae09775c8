"""A few connections to one HandlerSocket port, shared by all requests at once.

Requests are pipelined, so no caller checks a connection out. Each request goes to the connection that waits
for the fewest answers. The pool connects when a connection is needed, and again after a failure or a long
idle time. It pauses between failed attempts, so that not every request tries a server that is down.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence

from .client import DEFAULT_TIMEOUT, Client
from .connection import Index
from .errors import ConnectionLost, HandlerSocketError

IDLE_SECONDS = 240.0
"""The server closes what was idle for 300 s (`handlersocket_timeout`), firewalls often do it sooner."""

_LONGEST_PAUSE = 0.5


class Pool:
    """Up to `size` connections of one event loop, each with the `indexes` open.

    `timeout` is in seconds: so long may it take to make a connection, and so long each answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        secret: str | None = None,
        indexes: Sequence[Index] = (),
        size: int = 2,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._host = host
        self._port = port
        self._secret = secret
        self._indexes = indexes
        self._size = size
        self._timeout = timeout
        self.clients: list[Client] = []
        self._connecting: asyncio.Task[Client] | None = None  # one at a time, for all waiting callers
        self._pause = 0.0  # seconds between attempts, longer after each that failed
        self._not_before = 0.0
        self._closed = False

    async def client(self) -> Client:
        """Return a connection to ask on at once, shared with other callers.

        Raises as `Client.connect` does.
        """
        return self.ready() or await self._wait()

    def ready(self) -> Client | None:
        """Return the connection with the fewest answers to come, if there is any.

        Another connection is made where all are busy.
        """
        best, fewest = None, 0
        for client in self.clients:
            in_flight = client.pipeline.in_flight
            if not (in_flight or self._is_fresh(client)) or not client.pipeline.is_usable:
                return self._sorted_out().ready()
            if best is None or in_flight < fewest:
                best, fewest = client, in_flight
        if fewest and len(self.clients) < self._size:
            self._start_connecting()
        return best

    async def drain(self, hold: float = 0.0) -> None:
        """Close each connection as soon as its requests are answered.

        While one is open the server can't alter its tables. For `hold` seconds the pool makes no new
        one, and requests wait. After that service resumes.
        """
        self._not_before = self.loop.time() + hold
        clients, self.clients = self.clients, []
        closings: list[Awaitable[object]] = [client.aclose() for client in clients]
        if self._connecting is not None:
            self._connecting.cancel()  # a caller that waits for it starts another
            closings.append(asyncio.wait([self._connecting]))
        try:
            await asyncio.gather(*closings)
        finally:
            for client in clients:
                client.pipeline.abort()

    async def aclose(self) -> None:
        """Close for good. Callers that wait for a connection get `ConnectionLost`."""
        self._closed = True
        await self.drain()

    def forget_idle(self) -> None:
        """Close the idle connections, since one like them gave no answer."""
        for client in self.clients:
            if not client.pipeline.in_flight:
                client.pipeline.abort()
        self._sorted_out()

    # Decisions, without any I/O

    def _is_fresh(self, client: Client) -> bool:
        return self.loop.time() - client.pipeline.last_used < IDLE_SECONDS

    def _sorted_out(self) -> Pool:
        """Drop connections that failed, or may be dead from idling, and return the pool."""
        for client in self.clients:
            if not client.pipeline.in_flight and not self._is_fresh(client):
                client.pipeline.abort()
        self.clients = [client for client in self.clients if client.pipeline.is_usable]
        return self

    def _start_connecting(self) -> asyncio.Task[Client]:
        if self._connecting is None or self._connecting.done():
            self._connecting = self.loop.create_task(self._connect())
            self._connecting.add_done_callback(_retrieve)
        return self._connecting

    # Waiting

    async def _wait(self) -> Client:
        while not self._closed:
            connecting = self._start_connecting()
            await asyncio.wait([connecting])  # which goes on for others if its first asker leaves
            if not connecting.cancelled():
                return connecting.result()
        raise ConnectionLost("the connections to HandlerSocket were closed")

    async def _connect(self) -> Client:
        try:
            await asyncio.sleep(self._not_before - self.loop.time())
            client = await Client.connect(
                self._host, self._port, secret=self._secret, indexes=self._indexes, timeout=self._timeout
            )
        except HandlerSocketError:
            self._pause = min(2 * self._pause + 0.01, _LONGEST_PAUSE)
            self._not_before = self.loop.time() + self._pause * random.uniform(0.5, 1)
            raise
        self._pause = 0.0
        self.clients.append(client)
        return client


def _retrieve(connecting: asyncio.Task[Client]) -> None:
    """Retrieve the exception, so that asyncio logs no failure.

    It would log one where no caller waits for the connection.
    """
    if not connecting.cancelled():
        connecting.exception()
