"""The rows of phpredis on one server, or in a Cluster."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any

from ...errors import CorruptRecord, SessionUnavailable, StoreFull
from ...stores.base import Finding, Stored
from ...stores.redis.answers import Answers
from ...stores.redis.clients import Client, is_cluster, make_clients
from ...stores.redis.diagnosis import findings, probe
from ...stores.redis.errors import DRIVER_ERRORS, cause_of, is_foreign
from ..session_ids import is_session_id
from .commands import LOCKED, PHPCommands

_LOCK_POLL = 0.02
"""Seconds between two looks at a lock of PHP; phpredis 6 waits as long."""


class PHPRedisServer:
    """The rows whose keys begin with `prefix`.

    `timeout` is the budget of an operation in seconds.

    With `locks` a write waits while a page of PHP holds the lock of its session. `clock` gives unix seconds.
    """

    def __init__(
        self,
        client_or_url: Client | str,
        *,
        prefix: str,
        locks: bool,
        timeout: float,
        pool_size: int,
        max_data_bytes: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._prefix = prefix
        self._locks = "1" if locks else "0"
        self._timeout = timeout
        self._max_data_bytes = max_data_bytes
        self._clock = clock
        self._clients = make_clients(client_or_url, timeout=timeout, pool_size=pool_size, commands=PHPCommands)
        self._answers = Answers(self._clients.server, prefix=prefix, seconds=timeout)

    async def load(self, key: str) -> Stored | None:
        """Return the row.

        PHP serves a row without a TTL as well, and the next touch gives it one.
        """
        try:
            reply = await self._clients.here().loads.submit(self._prefix + key)
        except DRIVER_ERRORS as error:
            if is_foreign(error):
                raise CorruptRecord(
                    "Redis holds something other than a string under the key of a PHP session. It was left as it is."
                ) from None
            raise self._answers.store_error(error) from cause_of(error)
        if reply is None or reply[1] == 0:
            return None
        data, milliseconds = reply
        if self._max_data_bytes is not None and len(data) > self._max_data_bytes:
            raise CorruptRecord(
                f"a session of PHP in Redis has {len(data)} bytes: raise max_data_bytes. It was left as it is."
            )
        seconds = 1 if milliseconds < 0 else milliseconds / 1000
        return Stored(data, data, round(self._clock() + seconds))

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        """Make a row. False: the key is taken."""
        milliseconds = self._milliseconds(expires_at)
        if milliseconds <= 0:
            return await self.load(key) is None
        return bool(await self._answers.of(self._clients.here().creates.submit(self._prefix + key, data, milliseconds)))

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        """Compare and swap. Equal bytes are written as well: their expiry moves."""
        milliseconds = self._milliseconds(expires_at)
        if milliseconds <= 0:
            return await self.delete(key, version)
        digest, value = _digest(version), self._locks.encode() + data
        replaces = self._clients.here().replaces
        return await self._unlocked(lambda: replaces.submit(self._prefix + key, digest, value, milliseconds))

    async def touch(self, key: str, expires_at: int) -> bool:
        """Move the expiry, as phpredis does with session.lazy_write.

        It does so without regard to a lock.
        """
        touches = self._clients.here().touches
        return bool(await self._answers.of(touches.submit(self._prefix + key, self._milliseconds(expires_at))))

    async def delete(self, key: str, version: Hashable | None) -> bool:
        """Remove the row, once no page of PHP has its lock.

        A page that has the lock would write the row again.
        """
        digest = "" if version is None else _digest(version)
        deletes = self._clients.here().deletes
        return await self._unlocked(lambda: deletes.submit(self._prefix + key, digest, self._locks))

    async def ids(self) -> AsyncIterator[str]:
        """Yield the ids of all sessions.

        What else has the prefix, such as a lock, is left out.
        """
        async for session_id in self._answers.keys(self._clients.here().client):
            if is_session_id(session_id):
                yield session_id

    async def diagnose(self) -> list[Finding]:
        """Look whether the server keeps sessions for as long as they live.

        In a Cluster it looks at each primary.
        """
        client: Any = self._clients.here().client
        async with self._answers.within(self._timeout):
            if is_cluster(client):
                nodes = list((await client.info(target_nodes="primaries")).values())
            else:
                nodes = [await client.info()]
        return [finding for node in nodes for finding in findings(node)]

    async def open(self) -> None:
        """Reach the server, and try what sessions need."""
        client = self._clients.here().client
        with suppress(StoreFull):
            async with self._answers.within(self._timeout):
                await probe(client, self._prefix)

    async def aclose(self) -> None:
        await self._clients.aclose()

    async def _unlocked(self, submit: Callable[[], Awaitable[Any]]) -> bool:
        """Ask until no page of PHP has the lock of the session."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        while (answer := await self._answers.of(submit())) == LOCKED:
            if asyncio.get_running_loop().time() > deadline:
                raise SessionUnavailable(
                    f"a page of PHP has kept the lock of its session in Redis for longer than the timeout of "
                    f"{self._timeout:g} s: call session_write_close() before what takes long"
                )
            await asyncio.sleep(_LOCK_POLL)
        return bool(answer)

    def _milliseconds(self, expires_at: int) -> int:
        return int((expires_at - self._clock()) * 1000)


def _digest(version: Hashable) -> str:
    """Return what the scripts compare. It only tells versions of one session apart."""
    if not isinstance(version, bytes):
        return "none"
    return hashlib.sha1(version, usedforsecurity=False).hexdigest()
