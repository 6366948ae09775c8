"""Sessions of phpredis, PHP's save handler `redis` or `rediscluster`.

They are shared with PHP, which may run at the same time.

A key is the prefix and the session's id. A value is the bytes of PHP's serialize handler, and the lifetime is the
key's TTL. A version is the data. phpredis takes no lock unless php.ini says so. Without one, a page of PHP that has
run since before a write of Python overwrites it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Hashable

from ...errors import ConfigurationError
from ...stores._support.options import check_options
from ...stores.base import (
    DEFAULT_MAX_DATA_BYTES,
    DEFAULT_TIMEOUT,
    Finding,
    SessionStore,
    Stored,
    check_expires_at,
)
from ...stores.redis.clients import Client, is_cluster
from ...stores.redis.prefixes import check_prefix
from ...stores.redis.sharded import DEFAULT_PREFIX, parse_save_path, pick
from ..session_ids import check_session_id
from ..session_rows import check_session_row
from .server import PHPRedisServer

CLUSTER_PREFIX = "PHPREDIS_CLUSTER_SESSION:"


class PHPRedisStore(SessionStore):
    """A store over the rows of phpredis. Keys are the ids of PHP sessions.

    `save_path` is PHP's setting `session.save_path`, with one server or several and their weights. It may be a client
    of `redis.asyncio` instead: a `RedisCluster` where PHP has the handler `rediscluster`, a `Redis`, or what Sentinel's
    `master_for` returns.

    Give a client `retry=Retry(NoBackoff(), 0)`. By default redis-py sends a command again after a lost answer, and then
    finds its own write instead of what was loaded, so that `session.atomic` runs once more.

    `prefix` stands before every id. By default it is that of the save path, or phpredis' own. Symfony's is `sf_s`.
    `locking`: php.ini has `redis.session.locking_enabled=1`. A write then waits for the page of PHP that has the lock.
    `timeout` is the budget of an operation in seconds, this wait included; after it `SessionUnavailable` is raised.
    Up to `pool_size` connections are made to each server. `clock` gives unix seconds.

    Raises `ConfigurationError` for settings that can't work. Locks need a single server: phpredis 5.3.7 leaves them
    behind where a save path has several, and takes none in a Cluster.
    """

    def __init__(
        self,
        save_path: str | Client,
        *,
        prefix: str | None = None,
        locking: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        pool_size: int = 50,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes, pool_size=pool_size)
        if prefix is not None:
            check_prefix(prefix)

        def server(client_or_url: Client | str, own_prefix: str, own_timeout: float | None = None) -> PHPRedisServer:
            return PHPRedisServer(
                client_or_url,
                prefix=own_prefix if prefix is None else prefix,
                locks=locking,
                timeout=min(timeout, own_timeout or timeout),
                pool_size=pool_size,
                max_data_bytes=max_data_bytes,
                clock=clock,
            )

        self.max_data_bytes = max_data_bytes
        self._servers: list[PHPRedisServer]
        if isinstance(save_path, str):
            found = parse_save_path(save_path)
            self._servers = [server(one.url, one.prefix, one.timeout) for one in found]
            self._weights = [one.weight for one in found]
        else:
            self._servers = [server(save_path, CLUSTER_PREFIX if is_cluster(save_path) else DEFAULT_PREFIX)]
            self._weights = [1]
        if locking and (len(self._servers) > 1 or is_cluster(save_path)):
            raise ConfigurationError(
                "locking needs a single server: phpredis leaves locks behind with several, and has none in a Cluster"
            )

    async def load(self, key: str) -> Stored | None:
        return await self._server(key).load(key)

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        return await self._server(key).create(key, data, expires_at)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        return await self._server(key).replace(key, data, expires_at, version)

    async def touch(self, key: str, expires_at: int) -> bool:
        check_expires_at(expires_at)
        return await self._server(key).touch(key, expires_at)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await self._server(key).delete(key, version)

    async def delete_expired(self, limit: int = 1000) -> int:
        return 0

    async def all_keys(self) -> AsyncIterator[str]:
        """Yield the ids of all sessions; see `SupportsListing`."""
        for server in self._servers:
            async for session_id in server.ids():
                yield session_id

    def server_of(self, key: str) -> int:
        """Return which server holds a session, by its place in the save path.

        See `SupportsSharding`.
        """
        return pick(self._weights, key)

    async def diagnose(self) -> list[Finding]:
        """Look at each server; see `SupportsDiagnosis`."""
        return [finding for server in self._servers for finding in await server.diagnose()]

    async def open(self) -> None:
        for server in self._servers:
            await server.open()

    async def aclose(self) -> None:
        for server in self._servers:
            await server.aclose()

    def _server(self, key: str) -> PHPRedisServer:
        check_session_id(key)
        return self._servers[self.server_of(key)]
