"""Sessions in Redis: a single server, the master behind Sentinel, or a Cluster.

One key per session, one round trip per operation; what many requests ask in the same moment goes
together. What has to be compared and written at once is a Lua script over that single key, so that
it runs on a Cluster as well. Expiry is the key's own TTL in milliseconds, which Redis checks at every access.

A row names its owner. The index of an owner takes a second round trip, at sign-in, at logout, and now and then
between; see `owners`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any

try:
    import redis  # noqa: F401
except ImportError as error:  # pragma: no cover - tested in an interpreter without redis
    raise ImportError('RedisStore needs redis-py: pip install "starlette-sessions-ext[redis]"') from error

from ...errors import CorruptRecord, StoreFull
from .._support.driver_versions import check_version
from .._support.options import check_options
from ..base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    Stored,
    SupportsOwners,
    check_expires_at,
    check_key,
    check_owner,
    check_row,
    is_key,
    new_stored,
)
from .answers import Answers
from .clients import Client, make_clients
from .diagnosis import findings, probe
from .errors import DRIVER_ERRORS, cause_of, is_error_reply, is_foreign
from .owners import Owners
from .prefixes import check_prefix
from .rows import Row, read, write
from .sharded import WeightedRedisStore, parse_save_path

check_version("redis")


class RedisStore(SupportsOwners):
    """A store in Redis 6.0 or later, or in Valkey.

    Takes a URL (`redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix://`), for which it makes a
    client and closes it, or a client of `redis.asyncio`, which it uses and never closes: `Redis`, what
    Sentinel's `master_for` returns, or `RedisCluster`. A client of `valkey.asyncio` does as well. The
    client must not decode responses.

    `prefix` stands before every key; `timeout` is the budget of one operation in seconds; up to
    `pool_size` connections are made for a URL; `clock` gives unix seconds, from which TTLs are
    calculated. Redis must not evict sessions: keep `maxmemory-policy noeviction` on its server.

    A URL serves any number of event loops and threads, and forked processes. A client serves the one
    loop that it belongs to. Raises `ConfigurationError` for what can't work.
    """

    def __init__(
        self,
        client_or_url: Client | str,
        *,
        prefix: str = "session:",
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 50,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        check_prefix(prefix)
        self.max_data_bytes = max_data_bytes
        self._prefix = prefix
        self._timeout = timeout
        self._clock = clock
        self._clients = make_clients(client_or_url, timeout=timeout, pool_size=pool_size)
        self._answers = Answers(self._clients.server, prefix=prefix, seconds=timeout)
        self._owners = Owners(self._clients.here, self._answers, prefix=prefix, timeout=timeout, clock=clock)

    @staticmethod
    def from_save_path(
        path: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 50,
        clock: Callable[[], float] = time.time,
    ) -> WeightedRedisStore:
        """Make a store over the servers of a phpredis `save_path`.

        See `sharded.parse_save_path`. `pool_size` is the number of connections to each server.
        """
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        servers = parse_save_path(path)
        stores = [
            RedisStore(
                server.url,
                prefix=server.prefix,
                timeout=min(timeout, server.timeout or timeout),
                max_data_bytes=max_data_bytes,
                pool_size=pool_size,
                clock=clock,
            )
            for server in servers
        ]
        return WeightedRedisStore(stores, [server.weight for server in servers])

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        try:
            reply = await self._clients.here().loads.submit(self._prefix + key)
        except DRIVER_ERRORS as error:
            if is_foreign(error):
                raise CorruptRecord(
                    "Redis holds something other than a string under a session's key: see what else writes keys that"
                    " begin with the store's prefix"
                ) from None
            raise self._answers.store_error(error) from cause_of(error)
        # No TTL at all (-1) isn't ours either: what this store writes always has one.
        if reply is None or reply[1] <= 0:
            return None
        return new_stored((read(reply[0]).data, reply[0], round(self._clock() + reply[1] / 1000)))

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        milliseconds = self._milliseconds(expires_at)
        if milliseconds <= 0:
            return await self.load(key) is None
        creates = self._clients.here().creates
        deadline = asyncio.get_running_loop().time() + self._timeout
        value = await self._value(key, data, expires_at, owner)
        return await self._write(creates.submit(self._prefix + key, value, milliseconds), key, value, deadline)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        milliseconds = self._milliseconds(expires_at)
        if milliseconds <= 0:
            return await self.delete(key, version)
        replaces = self._clients.here().replaces
        deadline = asyncio.get_running_loop().time() + self._timeout
        value = await self._value(key, data, expires_at, owner, version)
        call = replaces.submit(self._prefix + key, _digest(version), value, milliseconds)
        return await self._write(call, key, value, deadline)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        touches = self._clients.here().touches
        done = await self._answers.of(touches.submit(self._prefix + key, self._milliseconds(expires_at), expires_at))
        if isinstance(done, bytes):  # the owner, whose index would drop the row before `expires_at`
            await self._owners.add(done.decode(), key, expires_at)
        return bool(done)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        digest = "" if version is None else _digest(version)
        deletes = self._clients.here().deletes
        deadline = asyncio.get_running_loop().time() + self._timeout
        done = await self._answers.of(deletes.submit(self._prefix + key, digest, ""))
        if isinstance(done, bytes):
            await self._owners.remove(done.decode(), [key], deadline)
        return bool(done)

    async def owner_of(self, key: str) -> str | None:
        check_key(key)
        return await self._owners.of(key)

    async def keys_of(self, owner: str) -> list[str]:
        check_owner(owner)
        return await self._owners.keys_of(owner)

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        check_owner(owner)
        if keep is not None:
            check_key(keep)
        return await self._owners.delete_all_of(owner, keep)

    async def delete_expired(self, limit: int = 1000) -> int:
        return 0

    async def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all sessions; see `SupportsListing`."""
        async for key in self._answers.keys(self._clients.here().client):
            if is_key(key):  # not something else under the same prefix
                yield key

    async def diagnose(self) -> list[Finding]:
        """Check that this Redis keeps sessions as long as they live.

        See `SupportsDiagnosis`.
        """
        client = self._clients.here().client
        found: list[Finding] = []
        await self._check(lambda: probe(client, self._prefix), found)
        info = await self._check(client.info, found)
        nodes = info.values() if info and all(isinstance(value, dict) for value in info.values()) else [info]
        return list(dict.fromkeys([*found, *(finding for node in nodes if node for finding in findings(node))]))

    async def open(self) -> None:
        """Reach the server and try all that sessions need.

        So a fault shows at startup. A server that is full is no error: it serves the sessions that it has.
        """
        client = self._clients.here().client
        with suppress(StoreFull):
            async with self._answers.within(self._timeout):
                await probe(client, self._prefix)

    async def aclose(self) -> None:
        """Close this event loop's connections. A client that was given stays open."""
        await self._clients.aclose()

    def _milliseconds(self, expires_at: int) -> int:
        return int((expires_at - self._clock()) * 1000)

    async def _check(self, check: Callable[[], Awaitable[Any]], found: list[Finding]) -> Any:
        """Return the result, or None where the server refuses: that is a finding."""
        try:
            async with asyncio.timeout(self._timeout):
                return await check()
        except DRIVER_ERRORS as error:
            if not is_error_reply(error):
                raise self._answers.store_error(error) from cause_of(error)
            refusal = self._answers.explain(error)
            found.append(Finding(f"{self._clients.server.address} {refusal.problem}", refusal.remedy))
            return None

    async def _value(
        self, key: str, data: bytes, expires_at: int, owner: str | None, version: Hashable = None
    ) -> bytes:
        """Return the value to write, after the owner's index lists the row.

        The index lists it for as long as it lives.
        """
        if owner is None:
            return write(Row(data))
        return write(Row(data, owner, await self._owners.add(owner, key, expires_at, version)))

    async def _write(self, call: Awaitable[Any], key: str, value: bytes, deadline: float) -> bool:
        """Wait for what a script says of a write, and look if no answer comes."""
        try:
            return bool(await call)
        except DRIVER_ERRORS as error:
            if is_foreign(error):
                return False
            if await self._contains(key, value, deadline):
                return True
            raise self._answers.store_error(error) from cause_of(error)

    async def _contains(self, key: str, value: bytes, deadline: float) -> bool:
        """Return whether a write took place whose answer didn't come.

        The look takes what is left of the budget.
        """
        execute = self._clients.here().execute
        try:
            async with asyncio.timeout_at(deadline):
                return bool(await execute("GET", self._prefix + key) == value)
        except DRIVER_ERRORS as error:
            if is_foreign(error):
                return False
            raise self._answers.store_error(error) from cause_of(error)


def _digest(version: Hashable) -> str:
    """Return the SHA-1 of the bytes as loaded, which the scripts compare.

    It only distinguishes versions of one session.
    """
    if not isinstance(version, bytes):
        return "none"
    return hashlib.sha1(version, usedforsecurity=False).hexdigest()
