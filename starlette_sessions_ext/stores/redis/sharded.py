"""Sessions spread over several weighted Redis servers, as by PHP's phpredis.

`parse_save_path` reads phpredis' `session.save_path` (documented in its README, "PHP Session
handler"), and `WeightedRedisStore` picks the server of a session as phpredis does, so that a
deployment keeps its servers, weights and order. There is no failover, as there is none in PHP: a
server that is down takes its share of the sessions with it, and only that. Changing a weight or
the order moves nearly all sessions.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlsplit

from ...errors import ConfigurationError, StoreUnavailable
from ...events import logger
from ..base import Finding, Stored, SupportsDiagnosis, SupportsListing, SupportsOwners, check_key

DEFAULT_PORT = 6379
DEFAULT_PREFIX = "PHPREDIS_SESSION:"

_WHOLE = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
_PARAMETERS = "weight, timeout, read_timeout, database, prefix, auth, auth[user], auth[pass], auth[]"
_ENCODE = "in a password & is written %26, a comma %2C and a space %20"
_WITHOUT_MEANING_HERE = frozenset({"persistent", "persistent_id", "retry_interval"})  # a pool keeps its connections


@dataclass(frozen=True, slots=True)
class SavePathServer:
    """One server of a save path.

    `timeout` is in seconds, None where the path names none.
    """

    url: str = field(repr=False)  # may hold a password
    weight: int = 1
    prefix: str = DEFAULT_PREFIX
    timeout: float | None = None


def parse_save_path(path: str) -> list[SavePathServer]:
    """Read a save path, and return its servers.

        tcp://10.0.0.1:6379?weight=1, tls://10.0.0.2:6380?weight=2&auth=secret, unix:///run/redis.sock

    Servers are separated by commas or white space; `host:port` alone means tcp. Parameters:
    weight, timeout and read_timeout (seconds; the smaller holds for whole operations), database,
    prefix, auth (`auth=password`, `auth[user]=..&auth[pass]=..` or `auth[]=user&auth[]=password`).
    In a password `&` is written `%26`, a comma `%2C`, a space `%20`, `#` `%23` and `+` `%2B`. Where a server has
    a password, each begins with its scheme, so that the rest of a password isn't taken for a server.

    Raises `ConfigurationError` for anything else, also where phpredis would ignore it silently.
    """
    if not isinstance(path, str):
        raise ConfigurationError("a save path is a str, such as 'tcp://127.0.0.1:6379'")
    addresses = [address for address in re.split(r"[\s,]+", path) if address]
    if re.search(r"[?&]auth\b", path) and not all("://" in address for address in addresses):
        raise _wrong(f"where one has a password, each server begins with tcp://, tls:// or unix://; {_ENCODE}")
    servers = [_server(address) for address in addresses]
    if not servers:
        raise ConfigurationError("a save path names at least one server, such as tcp://127.0.0.1:6379")
    return servers


def pick(weights: Sequence[int], key: str) -> int:
    """Return the index of the server that holds `key`.

    The first four bytes of `key`, little-endian, choose it by the weights. The last server owns the lowest
    positions: phpredis puts each new one before the others.
    """
    (position,) = struct.unpack_from("<I", key.encode())
    position %= sum(weights)
    for index in reversed(range(1, len(weights))):
        if position < weights[index]:
            return index
        position -= weights[index]
    return 0


class Part(SupportsOwners, SupportsListing, SupportsDiagnosis, Protocol):
    """The abilities that the store of one of several servers has."""


class WeightedRedisStore(SupportsOwners):
    """Several stores, each with the weight of its share of the sessions."""

    def __init__(self, stores: Sequence[Part], weights: Sequence[int]) -> None:
        limits = [store.max_data_bytes for store in stores if store.max_data_bytes is not None]
        self.max_data_bytes: int | None = min(limits, default=None)
        self._stores = list(stores)
        self._weights = list(weights)

    async def load(self, key: str) -> Stored | None:
        return await self._store(key).load(key)

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        return await self._store(key).create(key, data, expires_at, owner)

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        return await self._store(key).replace(key, data, expires_at, version, owner)

    async def touch(self, key: str, expires_at: int) -> bool:
        return await self._store(key).touch(key, expires_at)

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        return await self._store(key).delete(key, version)

    async def owner_of(self, key: str) -> str | None:
        return await self._store(key).owner_of(key)

    async def keys_of(self, owner: str) -> list[str]:
        """Return the keys of an owner's rows on all servers; see `SupportsOwners`.

        It fails if one of them is down.
        """
        found = await asyncio.gather(*(store.keys_of(owner) for store in self._stores))
        return [key for keys in found for key in keys]

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        """Remove an owner's rows from all servers; see `SupportsOwners`.

        If a server is down, those of the others are gone when its error is raised.
        """
        calls = (store.delete_all_of(owner, keep) for store in self._stores)
        counts = await asyncio.gather(*calls, return_exceptions=True)
        for count in counts:
            if isinstance(count, BaseException):
                raise count
        return sum(count for count in counts if isinstance(count, int))

    async def delete_expired(self, limit: int = 1000) -> int:
        return 0

    async def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all sessions on all servers; see `SupportsListing`."""
        for store in self._stores:
            async for key in store.all_keys():
                yield key

    async def diagnose(self) -> list[Finding]:
        """Return the problems of all the servers; see `SupportsDiagnosis`."""
        return [finding for store in self._stores for finding in await store.diagnose()]

    def server_of(self, key: str) -> int:
        """Return the place of the server of `key` in the save path.

        See `SupportsSharding`.
        """
        return pick(self._weights, key)

    async def open(self) -> None:
        """Reach the servers, and log those that are away.

        A server that is away takes its sessions along and no others.

        Raises `StoreUnavailable` if none can be reached, or if one answers that it can't serve sessions.
        """
        failures: list[StoreUnavailable] = []
        for store in self._stores:
            try:
                await store.open()
            except StoreUnavailable as error:
                if error.__cause__ is None:  # the server is there, and answers that it can't serve sessions
                    raise
                failures.append(error)
        if len(failures) == len(self._stores):
            raise failures[0]
        for failure in failures:
            logger.error("started without some sessions: %s", failure)

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:  # all of them, whatever one of them raises
            for store in self._stores:
                stack.push_async_callback(store.aclose)

    def _store(self, key: str) -> Part:
        check_key(key)
        return self._stores[self.server_of(key)]


def _server(address: str) -> SavePathServer:
    if "://" not in address:
        address = f"tcp://{address}"
    try:
        parts = urlsplit(address)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise _wrong("a port is a number up to 65535") from None
    if parts.scheme not in ("tcp", "tls", "unix"):
        raise _wrong("a server is tcp://host:port, tls://host:port, unix:///path, or host:port")
    if parts.username is not None or parts.password is not None:
        raise _wrong("a password goes into auth=..., not before an @")
    if parts.fragment or (parts.scheme != "unix" and parts.path not in ("", "/")):
        raise _wrong("a database goes into database=..., not after a /")
    if not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise _wrong("a server needs a host, or the path of a socket")
    values = _values(parts.query)
    credentials = _credentials(values)
    database = _take(values, "database", "0", _WHOLE)
    if parts.scheme == "unix":
        url = f"unix://{credentials}{parts.path}?db={database}"
    else:
        scheme = "redis" if parts.scheme == "tcp" else "rediss"
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        url = f"{scheme}://{credentials}{host}:{port}/{database}"
    weight = int(_take(values, "weight", "1", _WHOLE))
    timeouts = [float(_take(values, name, "0", _NUMBER)) for name in ("timeout", "read_timeout")]
    prefix = values.pop("prefix", DEFAULT_PREFIX)
    if values.keys() - _WITHOUT_MEANING_HERE:
        raise _wrong(f"a parameter of a server is one of {_PARAMETERS}; {_ENCODE}")
    if weight == 0:
        raise _wrong("a weight is at least 1")
    return SavePathServer(url, weight, prefix, min((seconds for seconds in timeouts if seconds), default=None))


def _values(query: str) -> dict[str, str]:
    """Return the parameters by name.

    Of two `auth[]` the first is called auth[user] and the second auth[pass].
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    unnamed = [value for name, value in pairs if name == "auth[]"]
    if len(unnamed) not in (0, 2):
        raise _wrong("auth[] comes twice: the user, then the password")
    named = [(name, value) for name, value in pairs if name != "auth[]"]
    named += zip(("auth[user]", "auth[pass]"), unnamed, strict=False)
    if len(dict(named)) != len(named):
        raise _wrong("a parameter is given twice")
    return dict(named)


def _credentials(values: dict[str, str]) -> str:
    password, user = values.pop("auth", ""), values.pop("auth[user]", "")
    password = password or values.pop("auth[pass]", "")
    if user and not password:
        raise _wrong("auth[user] needs an auth[pass]")
    return f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else ""


def _take(values: dict[str, str], name: str, default: str, pattern: re.Pattern[str]) -> str:
    value = values.pop(name, default)
    if not pattern.fullmatch(value):
        raise _wrong(f"{name} must be a {'whole ' if pattern is _WHOLE else ''}number, not below 0")
    return value


def _wrong(what: str) -> ConfigurationError:
    """Return the error, without the address, which may hold a password."""
    return ConfigurationError(f"the save path can't be used: {what}")
