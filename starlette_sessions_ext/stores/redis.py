"""Sessions in Redis: a single server, the master behind Sentinel, or a Cluster.

One key per session, one round trip per operation; what many requests ask in the same moment goes
together. What has to be compared and written at once is a Lua script over that single key, so that
it runs on a Cluster as well. Expiry is the key's own TTL in milliseconds, which Redis checks at every access.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

try:
    from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisClusterException, RedisError, ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError
except ImportError as error:  # pragma: no cover - tested in an interpreter without redis
    raise ImportError('RedisStore needs redis-py: pip install "starlette-sessions-ext[redis]"') from error

from ..errors import ConfigurationError, StoreTimeout, StoreUnavailable
from ._driver import require
from ._redis_scripts import DELETE, LOAD, REPLACE, Calls, Execute
from .base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    SessionStore,
    Stored,
    check_expires_at,
    check_key,
    check_row,
    is_key,
)
from .redis_servers import WeightedRedisStore, parse_save_path

require("redis")

Client: TypeAlias = "Redis | RedisCluster"

# RuntimeError is what uvloop raises to redis-py where a connection was closed just before something is sent;
# AttributeError comes where a Cluster's client, which lost one node, has closed the connections to all, also under
# commands that are about to write, and those then find None in the place of the connection.
_DRIVER_ERRORS = (RedisError, RedisClusterException, OSError, RuntimeError, AttributeError)


class RedisStore(SessionStore):
    """A store in Redis 6.0 or later.

    Takes a URL (`redis://`, `rediss://`, `unix://`), for which it makes a client and closes it, or
    a client of `redis.asyncio`, which it uses and never closes: `Redis`, what Sentinel's
    `master_for` returns, or `RedisCluster`. The client must not decode responses.

    `prefix` stands before every key; `timeout` is the budget of one operation in seconds; up to
    `pool_size` connections are made for a URL; `clock` gives unix seconds, from which TTLs are
    reckoned. Redis must not evict sessions: keep
    `maxmemory-policy noeviction` on its database.
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
        if pool_size < 1:
            raise ConfigurationError("pool_size must be at least 1")
        if (
            not isinstance(prefix, str)
            or not prefix.isascii()
            or not prefix.isprintable()
            or len(prefix) > 64
            or " " in prefix
        ):
            raise ConfigurationError("prefix must be up to 64 printable ASCII characters without spaces")
        self.max_data_bytes = max_data_bytes
        self._prefix = prefix
        self._timeout = timeout
        self._pool_size = pool_size
        self._clock = clock
        self._url = client_or_url if isinstance(client_or_url, str) else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client = self._from_url(client_or_url) if isinstance(client_or_url, str) else client_or_url
        if self._client.get_encoder().decode_responses:
            raise ConfigurationError("RedisStore keeps bytes: give it a client without decode_responses=True")
        clustered = isinstance(self._client, RedisCluster)
        self._loads = Calls(LOAD, self._execute, timeout, clustered=clustered)
        self._replaces = Calls(REPLACE, self._execute, timeout / 2, clustered=clustered)
        self._deletes = Calls(DELETE, self._execute, timeout, clustered=clustered)

    @staticmethod
    def from_save_path(
        path: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> WeightedRedisStore:
        """A store over the servers of a phpredis `save_path`; see `redis_servers.parse_save_path`."""
        servers = parse_save_path(path)
        stores = [
            RedisStore(
                server.url,
                prefix=server.prefix,
                timeout=min(timeout, server.timeout or timeout),
                max_data_bytes=max_data_bytes,
                clock=clock,
            )
            for server in servers
        ]
        return WeightedRedisStore(stores, [server.weight for server in servers])

    async def load(self, key: str) -> Stored | None:
        check_key(key)
        try:
            reply = await self._loads.add(self._prefix + key)
        except _DRIVER_ERRORS as error:
            raise self._ours(error) from _cause(error)
        # No TTL at all (-1) isn't ours either: what this store writes always has one.
        if reply is None or reply[1] <= 0:
            return None
        return Stored(reply[0], reply[0], round(self._clock() + reply[1] / 1000))

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes)
        milliseconds = self._milliseconds(expires_at)
        if milliseconds <= 0:
            return await self.load(key) is None
        try:
            async with asyncio.timeout(self._timeout / 2):
                made = await self._current().set(self._prefix + key, data, nx=True, px=milliseconds)
        except _DRIVER_ERRORS as error:
            if await self._was_written(key, data):
                return True
            raise self._ours(error) from _cause(error)
        return made is not None or await self._was_written(key, data)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes)
        milliseconds = self._milliseconds(expires_at)
        if milliseconds <= 0:
            return await self.delete(key, version)
        try:
            return bool(await self._replaces.add(self._prefix + key, _digest(version), data, milliseconds))
        except _DRIVER_ERRORS as error:
            if await self._was_written(key, data):
                return True
            raise self._ours(error) from _cause(error)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_key(key)
        check_expires_at(expires_at)
        async with self._deadline(self._timeout):
            return bool(await self._current().pexpire(self._prefix + key, self._milliseconds(expires_at)))

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_key(key)
        async with self._deadline(self._timeout):
            if version is None:
                return bool(await self._current().delete(self._prefix + key))
            return bool(await self._deletes.add(self._prefix + key, _digest(version)))

    async def delete_expired(self, limit: int = 1000) -> int:
        return 0

    async def all_keys(self) -> AsyncIterator[str]:
        """The keys of all sessions; see `SupportsListing`."""
        names = aiter(self._current().scan_iter(match=re.sub(r"([*?\[\]\\])", r"\\\1", self._prefix) + "*", count=1000))
        while True:
            async with self._deadline(self._timeout):
                name = await anext(names, None)
            if name is None:
                return
            key = name.decode(errors="replace").removeprefix(self._prefix)
            if is_key(key):  # not something else under the same prefix
                yield key

    async def diagnose(self) -> list[Finding]:
        """Whether this Redis keeps sessions for as long as they live; see `SupportsDiagnosis`."""
        async with self._deadline(self._timeout):
            info = await self._current().info()
        nodes = list(info.values()) if all(isinstance(value, dict) for value in info.values()) else [info]
        return list(dict.fromkeys(finding for node in nodes for finding in _findings(node)))

    async def open(self) -> None:
        """Reach the server, so that a wrong address or password shows at startup."""
        async with self._deadline(self._timeout):
            await self._current().ping()

    async def aclose(self) -> None:
        for calls in (self._loads, self._replaces, self._deletes):
            await calls.ended()
        if self._url is not None:
            await self._client.aclose()

    def _from_url(self, url: str) -> Redis:
        """A client that asks once: a second try of its own could run a command twice."""
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=self._pool_size,
                timeout=None,  # the deadline of the operation is what ends the wait for a connection
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                retry=Retry(NoBackoff(), 0),
                protocol=2,  # under 3 redis-py 8 hands out connections that the server has closed
            )
            pool.connection_class(**pool.connection_kwargs)  # an option that there isn't shows only here
            return Redis.from_pool(pool)
        except (ValueError, TypeError):
            raise ConfigurationError("a Redis URL looks like redis://user:password@host:6379/0") from None

    def _current(self) -> Client:
        """The client, a new one where the event loop is another: connections belong to the loop that made them.

        So it is in tests with Starlette's TestClient, which runs every request in a loop of its own
        unless it is used in `with`.
        """
        if self._url is not None and self._loop is not (loop := asyncio.get_running_loop()):
            if self._loop is not None:
                self._client = self._from_url(self._url)
            self._loop = loop
        return self._client

    def _milliseconds(self, expires_at: int) -> int:
        return int((expires_at - self._clock()) * 1000)

    def _execute(self) -> Execute:
        return self._current().execute_command

    async def _was_written(self, key: str, data: bytes) -> bool:
        """Look, with the other half of the budget, whether a write took place whose answer didn't come, or said no."""
        async with self._deadline(self._timeout / 2):
            return bool(await self._current().get(self._prefix + key) == data)

    @asynccontextmanager
    async def _deadline(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except _DRIVER_ERRORS as error:
            raise self._ours(error) from _cause(error)

    def _ours(self, error: Exception) -> StoreUnavailable:
        """What redis-py's error is to users of a store."""
        if isinstance(error, TimeoutError | RedisTimeoutError):
            return StoreTimeout(f"{self._place()} didn't answer within {self._timeout} s")
        if isinstance(error, ResponseError):
            return StoreUnavailable(f"{self._place()} refuses ({type(error).__name__})")
        return StoreUnavailable(f"{self._place()} can't serve sessions ({type(error).__name__})")

    def _place(self) -> str:
        """The server's name for messages, without user or password."""
        pool = getattr(self._client, "connection_pool", None)  # a Cluster has one per node
        settings = {} if pool is None else pool.connection_kwargs
        if "host" in settings:
            return f"Redis at {settings['host']}:{settings.get('port', 6379)}"
        return f"Redis at {settings['path']}" if "path" in settings else "Redis"


def _findings(info: Mapping[str, Any]) -> Iterator[Finding]:
    """What the INFO of one server tells (redis.io/docs/latest/commands/info)."""
    version, policy = info["redis_version"], info.get("maxmemory_policy", "noeviction")
    if int(version.split(".")[0]) < 6:
        yield Finding(f"Redis {version} is too old", "upgrade it to 6.0 or later")
    if policy != "noeviction":
        problem = f"maxmemory-policy {policy} evicts sessions that are still alive"
        yield Finding(problem, "CONFIG SET maxmemory-policy noeviction, and in redis.conf")
    if not info.get("aof_enabled"):
        problem = "appendonly is off: what was written since the last snapshot is lost if Redis is killed"
        yield Finding(problem, "CONFIG SET appendonly yes, and in redis.conf")


def _cause(error: Exception) -> Exception | None:
    return None if isinstance(error, ResponseError) else error  # the server may quote what it was sent


def _digest(version: Hashable) -> str:
    """What the scripts compare: the SHA-1 of the bytes as loaded. It only tells versions of one session apart."""
    if not isinstance(version, bytes):
        return ""
    return hashlib.sha1(version, usedforsecurity=False).hexdigest()
