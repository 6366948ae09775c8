"""One client of a server for each event loop that uses a store.

An asyncio client belongs to the loop that made it. A store may meet several: one after another, as
with `asyncio.run` in a script or Starlette's TestClient without `with`, or several at once in
threads. Each loop gets a client here, which ends with it: an asynchronous generator, which
`asyncio.run` closes before it closes the loop, closes the client. Where a loop was closed without
that, its client is abandoned as soon as the store is used again.

A forked child must not use its parent's sockets: there all clients are abandoned at once.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from ...errors import ConfigurationError

C = TypeVar("C")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises `ConfigurationError` where it isn't asyncio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError("this store runs on asyncio; on trio use SQLiteStore or MemoryStore") from None


def within(seconds: float) -> asyncio.Timeout:
    """Bound what is awaited inside, as `asyncio.timeout` does.

    Raises `ConfigurationError` where the running loop isn't asyncio's.
    """
    return asyncio.timeout_at(running_loop().time() + seconds)


class _Entry(NamedTuple):
    client: Any
    keeper: AsyncGenerator[None, None]


class LoopLocal(Generic[C]):
    """A client for each event loop, made at its first use.

    `make` is called in the loop, and doesn't wait. `close` is awaited in the loop; it bounds its own
    waits. `abandon` is called where the loop can't run any more, or in a forked child: it closes
    sockets, as `close_without_loop` does, and neither writes to them nor uses the loop.
    """

    def __init__(
        self, make: Callable[[], C], *, close: Callable[[C], Awaitable[object]], abandon: Callable[[C], object]
    ) -> None:
        self._make = make
        self._close = close
        self._abandon = abandon
        self._entries: dict[asyncio.AbstractEventLoop, _Entry] = {}
        _all.add(self)

    def get(self) -> C:
        """Return the running loop's client, which is made at the first use."""
        loop = running_loop()
        entry = self._entries.get(loop)
        if entry is None:
            self._abandon_closed()
            entry = self._entries[loop] = self._enter(self._make())
        client: C = entry.client
        return client

    def peek(self) -> C | None:
        """Return the running loop's client, if it has one."""
        entry = self._entries.get(running_loop())
        return None if entry is None else entry.client

    async def aclose(self) -> None:
        """Close the running loop's client.

        Clients of other loops that live end with their loops.
        """
        self._abandon_closed()
        entry = self._entries.pop(running_loop(), None)
        if entry is not None:
            await entry.keeper.aclose()

    def _enter(self, client: C) -> _Entry:
        keeper = self._keep(client)
        with suppress(StopIteration):  # at its `yield`, which it reaches without waiting
            keeper.asend(None).send(None)
        return _Entry(client, keeper)

    async def _keep(self, client: C) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            entry = self._entries.get(loop := asyncio.get_running_loop())
            if entry is not None and entry.client is client:
                del self._entries[loop]
            await self._close(client)

    def _abandon_closed(self) -> None:
        for loop in list(self._entries):
            entry = self._entries.pop(loop, None) if loop.is_closed() else None
            if entry is not None:  # else another thread was quicker
                self._abandon(entry.client)

    def _abandon_all(self) -> None:
        """Abandon the clients of all loops, in a forked child."""
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            _inherited.append(entry.keeper)
            self._abandon(entry.client)


def close_without_loop(transport: Any) -> None:
    """Close a transport's socket where its loop can't run.

    `abort()` would need the loop.

    Nothing is sent, and no other process's copy of the socket is affected. uvloop closes the sockets
    of a loop when it closes the loop; a forked child's copies of them last as long as the child.
    """
    if transport is None:
        return
    protocol = getattr(transport, "_ssl_protocol", None)
    if protocol is not None:  # TLS, over another transport
        close_without_loop(protocol._transport)
        with suppress(AttributeError):  # uvloop's
            transport._closed = True  # which it would be warned of otherwise
    sock = getattr(transport, "_sock", None)
    if sock is not None:
        sock.close()
        transport._sock = None
        transport._closing = True


_all: weakref.WeakSet[LoopLocal[Any]] = weakref.WeakSet()
_inherited: list[AsyncGenerator[None, None]] = []  # kept, for to end them would wake the parent's loops


def _after_fork() -> None:
    for one in list(_all):
        one._abandon_all()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
