"""The connections of one event loop to both ports of HandlerSocket.

This module also decides whether a request is sent again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from ...errors import ConfigurationError
from ...handlersocket import Client, Pool, ServerError, Where
from .._support.loop_local import close_without_loop
from .columns import Indexes
from .errors import LOST, is_rolled_back

P = ParamSpec("P")
T = TypeVar("T")

Request = Callable[Concatenate[Client, P], Awaitable[T]]
"""A method of `Client`."""


class Address(NamedTuple):
    """The address of the server, and the secrets that open its ports."""

    host: str
    port: int
    port_wr: int
    secret: str | None
    secret_wr: str | None

    def __repr__(self) -> str:
        return f"Address({self.host!r}, port={self.port}, port_wr={self.port_wr})"  # no secret: it opens every table


def address_of(host: str, port: int, port_wr: int, secret: str | None, secret_wr: str | None) -> Address:
    """Return the address.

    Raises `ConfigurationError`, naming the option, for what can't be an address.
    """
    if not isinstance(host, str) or not host:
        raise ConfigurationError("host must be the name or address of HandlerSocket's server, as a str")
    for option, number in (("port", port), ("port_wr", port_wr)):
        if type(number) is not int or not 0 < number < 65_536:
            raise ConfigurationError(f"{option} must be an int from 1 to 65535")
    for option, value in (("secret", secret), ("secret_wr", secret_wr)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{option} must be a str, or None where the server has none")
    return Address(host, port, port_wr, secret, secret if secret_wr is None else secret_wr)


class Ports:
    """Up to `size` connections to each port.

    `timeout` is in seconds, for one operation.

    One try has half of it, so that after an answer that got lost there is time to look again.
    """

    def __init__(self, address: Address, indexes: Indexes, *, size: int, timeout: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.checking = asyncio.Lock()
        self._attempt_timeout = timeout / 2
        self._nothing = indexes.expiries
        self._cancelled = 0  # changes whose callers were cancelled
        self._awaited = 0  # those that a barrier has waited for
        host, port, port_wr, secret, secret_wr = address
        self.reading = Pool(host, port, secret=secret, indexes=indexes, size=size, timeout=self._attempt_timeout)
        self.writing = Pool(
            host, port_wr, secret=secret_wr, indexes=indexes.for_writing, size=size, timeout=self._attempt_timeout
        )

    async def read_once(self, request: Request[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Ask on the port for reading, once."""
        await self._barrier()
        return await self._attempt(self.reading, request, *arguments, **options)

    async def read(self, request: Request[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Ask on the port for reading, twice if need be: that does no harm."""
        if self._awaited < self._cancelled:  # asked here as well, for this is on the way of every request
            await self._barrier()
        try:
            return await self._attempt(self.reading, request, *arguments, **options)
        except LOST:
            self.reading.forget_idle()  # what a firewall did to one connection it did to all that were silent
            self.writing.forget_idle()
            return await self._attempt(self.reading, request, *arguments, **options)

    async def write(self, request: Request[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Ask on the port for writing, again only if the server rolled back.

        It rolls back because of another transaction's lock.
        """
        give_up = self.loop.time() + self._attempt_timeout
        while True:
            try:
                return await self._attempt(self.writing, request, *arguments, **options)
            except ServerError as error:
                if not is_rolled_back(error) or self.loop.time() > give_up:
                    raise
            except asyncio.CancelledError:
                self._cancelled += 1
                raise
            except LOST:
                self.reading.forget_idle()  # on which it is looked for
                self.writing.forget_idle()
                raise
            await asyncio.sleep(random.uniform(0.001, 0.02))

    async def _barrier(self) -> None:
        """Wait for changes whose callers were cancelled.

        So they don't overtake what is read now. Answers come in order: that of a search which is sent behind
        a change says that it is done.
        """
        if self._awaited < self._cancelled:
            cancelled = self._cancelled
            searches = (client.find(self._nothing, Where("=", ("",))) for client in self.writing.clients)
            await asyncio.gather(*searches, return_exceptions=True)
            self._awaited = max(self._awaited, cancelled)

    async def drain(self, hold: float) -> None:
        await asyncio.gather(self.reading.drain(hold), self.writing.drain(hold))

    async def aclose(self) -> None:
        await asyncio.gather(self.reading.aclose(), self.writing.aclose())

    def abandon(self) -> None:
        """Close the sockets without their event loop.

        It can't run any more, or belongs to a parent process.
        """
        for client in self.reading.clients + self.writing.clients:
            close_without_loop(client.pipeline.transport)

    def _attempt(self, pool: Pool, request: Request[P, T], *arguments: P.args, **options: P.kwargs) -> Awaitable[T]:
        client = pool.ready()
        if client is not None and client.pipeline.has_room:
            return request(client, *arguments, **options)  # each answer has a deadline as it is
        return self._connect_and_attempt(pool, request, *arguments, **options)

    async def _connect_and_attempt(
        self, pool: Pool, request: Request[P, T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        async with asyncio.timeout(self._attempt_timeout):
            return await request(await pool.client(), *arguments, **options)
