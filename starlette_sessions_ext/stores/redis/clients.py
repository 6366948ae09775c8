"""The clients of a `RedisStore`: its own for each event loop, or a given one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias, TypeGuard

from redis.asyncio import Redis, RedisCluster

from ...errors import ConfigurationError
from .._support.loop_local import LoopLocal, running_loop
from .errors import ANOTHER_LOOP, ANOTHER_LOOP_REMEDY, DRIVER_ERRORS, ServerAddress
from .pool import make_pool
from .scripts import CREATE, DELETE, LIST, LISTED, LOAD, OWNER, REPLACE, TOUCH, UNLIST, Calls, Execute, Script
from .valkey_client import ValkeyClient, is_of_valkey_py

Client: TypeAlias = "Redis | RedisCluster | ValkeyClient"

_MOST_AT_ONCE = 64
"""Commands that a given client is asked at once: fewer than the connections that redis-py's pools have by default."""


class Commands:
    """A client in one event loop, and its batched calls."""

    __slots__ = (
        "client",
        "creates",
        "deletes",
        "execute",
        "listed",
        "lists",
        "loads",
        "owners",
        "replaces",
        "touches",
        "unlists",
    )

    def __init__(self, client: Client, execute: Execute, timeout: float, lost: Callable[[], object]) -> None:
        self.client = client
        self.execute = execute
        clustered = is_cluster(client)

        def calls(script: Script, seconds: float) -> Calls:
            return Calls(script, execute, seconds, clustered=clustered)

        def repeatable(script: Script, seconds: float) -> Calls:
            return Calls(script, execute, seconds, clustered=clustered, lost=lost)

        self.loads = repeatable(LOAD, timeout)
        self.creates = calls(CREATE, timeout / 2)
        self.replaces = calls(REPLACE, timeout / 2)
        self.touches = calls(TOUCH, timeout / 2)
        self.deletes = calls(DELETE, timeout)
        self.owners = repeatable(OWNER, timeout)
        self.lists = repeatable(LIST, timeout / 2)
        self.unlists = calls(UNLIST, timeout)
        self.listed = repeatable(LISTED, timeout)

    async def wait_all(self) -> None:
        """Wait for the running batches, also those whose callers have left."""
        for calls in (self.loads, self.creates, self.replaces, self.touches, self.deletes):
            await calls.wait_all()
        for calls in (self.owners, self.lists, self.unlists, self.listed):
            await calls.wait_all()

    async def aclose(self) -> None:
        await self.wait_all()
        with suppress(*DRIVER_ERRORS):  # it is gone in any case
            await self.client.aclose()


class OwnedClients:
    """A client of a URL for each event loop that uses the store.

    `commands` are made for each.
    """

    def __init__(self, url: str, *, timeout: float, pool_size: int, commands: type[Commands] = Commands) -> None:
        def make() -> Commands:
            pool = make_pool(url, timeout=timeout, size=pool_size)
            return commands(Redis.from_pool(pool), pool.execute, timeout, pool.expire_idle)

        client = make().client
        check_encoder(client)
        self.server = server_of(client)
        self._loops = LoopLocal(make, close=Commands.aclose, abandon=_abandon)

    def here(self) -> Commands:
        """Return the running loop's client."""
        return self._loops.get()

    async def aclose(self) -> None:
        await self._loops.aclose()


class BorrowedClient:
    """The application's client, which is never closed here. It serves one event loop.

    It may serve another when its connections are closed, as where the application closes it at shutdown and starts
    again.
    """

    def __init__(self, client: Client, *, timeout: float, commands: type[Commands] = Commands) -> None:
        check_encoder(client)
        self.server = server_of(client)
        self._client = client
        self._timeout = timeout
        self._make_commands = commands
        self._commands = _commands_of(client, timeout, commands)
        self._loop: asyncio.AbstractEventLoop | None = None

    def here(self) -> Commands:
        """Return the client, in the one loop that it belongs to."""
        loop = running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                self._leave(self._loop)
            self._loop = loop
        return self._commands

    async def aclose(self) -> None:
        await self.here().wait_all()

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.is_running() or any(connection.is_connected for connection in _connections(self._client)):
            raise ConfigurationError(f"the client that RedisStore was given {ANOTHER_LOOP}: {ANOTHER_LOOP_REMEDY}")
        self._commands = _commands_of(self._client, self._timeout, self._make_commands)


def make_clients(
    given: object, *, timeout: float, pool_size: int, commands: type[Commands] = Commands
) -> OwnedClients | BorrowedClient:
    """Return the clients for what RedisStore was given.

    Raises `ConfigurationError` if it is neither a URL nor a client.
    """
    if isinstance(given, str):
        return OwnedClients(given, timeout=timeout, pool_size=pool_size, commands=commands)
    if isinstance(given, Redis | RedisCluster):
        return BorrowedClient(given, timeout=timeout, commands=commands)
    if is_of_valkey_py(given):
        return BorrowedClient(ValkeyClient(given), timeout=timeout, commands=commands)
    kind = type(given)
    what = (
        "a coroutine, which has to be awaited first"
        if asyncio.iscoroutine(given)
        else f"{kind.__module__}.{kind.__name__}"
    )
    raise ConfigurationError(
        "client_or_url must be a URL such as redis://host:6379/0, or a client of redis.asyncio (Redis or RedisCluster)"
        f" or of valkey.asyncio, not {what}"
    )


def is_cluster(client: object) -> TypeGuard[RedisCluster]:
    """Return whether a client is one of a Cluster, of redis-py or valkey-py."""
    return hasattr(client, "get_primaries")


def check_encoder(client: Client) -> None:
    """Refuse a client whose answers are str."""
    if client.get_encoder().decode_responses:
        raise ConfigurationError("RedisStore keeps bytes: give it a URL or a client without decode_responses=True")


def server_of(client: Client) -> ServerAddress:
    """Return the server's address, without user or password."""
    pool = getattr(client, "connection_pool", None)
    settings = {} if pool is None else pool.connection_kwargs
    is_tls = "ssl" in getattr(pool, "connection_class", object).__name__.lower()
    if "path" in settings:
        return ServerAddress(f"Redis at {settings['path']}", is_socket=True)
    if pool is None or "connection_pool" in settings:  # a Cluster, or Sentinel's
        return ServerAddress("Redis", is_tls=is_tls)
    return ServerAddress(f"Redis at {settings.get('host', 'localhost')}:{settings.get('port', 6379)}", is_tls=is_tls)


def _connections(client: Any) -> Iterator[Any]:
    """Yield the connections that a client has, made or not."""
    if is_cluster(client):
        for node in client.get_nodes():
            yield from node._connections
    else:
        pool: Any = client.connection_pool
        yield from pool._available_connections
        yield from pool._in_use_connections


def _abandon(commands: Commands) -> None:
    pool: Any = getattr(commands.client, "connection_pool", None)
    pool.abandon()


def _commands_of(client: Client, timeout: float, commands: type[Commands]) -> Commands:
    """Use a given client; calls wait for each other here.

    Its pool would raise an error instead.
    """
    gate = asyncio.Semaphore(_MOST_AT_ONCE)

    async def execute(*arguments: bytes | str | int) -> Any:
        async with gate:
            return await client.execute_command(*arguments)

    return commands(client, execute, timeout, _nothing)


def _nothing() -> None:
    """Do nothing, since a given client's pool is the application's."""
