"""The collection that holds the sessions, with its options and its client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.errors import PyMongoError
from pymongo.network_layer import PyMongoProtocol
from pymongo.read_concern import ReadConcern

from ...errors import ConfigurationError, StoreUnavailable
from .._support.loop_local import close_without_loop
from .borrowed_collection import check_borrowed
from .log_filter import leave_out_of_logs

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection
    from pymongo.asynchronous.collection import AsyncCollection

# A date or a text of a foreign document that Python has no value for must not fail the documents read with it.
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="replace"
)

# Whatever the client's or the URL's settings are: a write is acknowledged when a majority has it in its journal, so
# that no election and no crash undoes it. Reads go to the primary and take its newest state ("local"),
# where every acknowledged write is seen. "majority" could return the state before a write that is still under way, and
# a lost compare-and-swap would load the same stale version again and again; "local" may show such a write early, but
# a swap that builds on it is acknowledged only after it. One gap is left: a primary that was cut off answers reads,
# though no writes, until it steps down some seconds later. "linearizable" would close it, but makes every read wait
# for a majority too, and a server without a replica set refuses it.
_WRITES = WriteConcern(w="majority", j=True)  # j, because without a replica set "majority" alone is memory
_NEWEST = ReadConcern("local")
SETTLED = ReadConcern("majority")  # what no election can take back

_MAX_CONNECTING = 50
"""Connections that may be made at once, unless the URL says `maxConnecting`.

pymongo's default is two: after a network failure a request that needs a connection waits for the
others that do, and some wait for as long as their budget lasts.
"""

ANOTHER_LOOP = (
    "the client of the given collection belongs to another event loop: use the store in the loop that the client was"
    " first used in (with Starlette's TestClient: in `with TestClient(app)`), or give MongoStore a URL"
)


class Source:
    """A collection that was given, or that of a URL.

    `timeout` (seconds) bounds what its client does in the background.

    Raises `ConfigurationError` for what can't be a collection or a URL.
    """

    def __init__(
        self, collection_or_url: AsyncCollection[Any] | AsyncIOMotorCollection[Any] | str, name: str, timeout: float
    ) -> None:
        check_borrowed(collection_or_url, name)
        self._name = name
        self._timeout = timeout
        self._url = collection_or_url if isinstance(collection_or_url, str) else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._borrowed: Any = None if self._url is not None else _configured(collection_or_url)
        if self._url is not None:
            self._from_url(self._url)  # to refuse a bad one now; a client connects when it is used

    def collection(self) -> AsyncCollection[Any]:
        """Return the collection to use in the running event loop.

        It is of a new client if there is a URL.

        Raises `StoreUnavailable` if the given client belongs to another loop.
        """
        if self._url is not None:
            return self._from_url(self._url)
        client = self._borrowed.database.client
        # Motor binds a client to the loop that first asks for it, pymongo to that of the first operation.
        loop = client._loop if isinstance(client, AsyncMongoClient) else client.get_io_loop()
        self._loop = loop or self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise StoreUnavailable(ANOTHER_LOOP)
        collection: AsyncCollection[Any] = self._borrowed
        return collection

    async def close(self, collection: AsyncCollection[Any]) -> None:
        """Close the collection's client, if it was made here.

        The client refuses what is still under way.
        """
        if self._url is not None:
            with pymongo.timeout(self._timeout):
                await collection.database.client.close()

    def abandon(self, collection: AsyncCollection[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Close the sockets of a client whose loop can't run any more.

        The same is done for a client of another process. A monitor holds its connection for as long as it
        waits, so the loop is asked for all of them.
        """
        if self._url is not None:
            for transport in list(getattr(loop, "_transports", {}).values()):
                protocol = transport.get_protocol()
                of_tls = getattr(protocol, "_app_protocol", None)
                if isinstance(of_tls or protocol, PyMongoProtocol):
                    close_without_loop(protocol._app_transport if of_tls else transport)
            collection.database.client._closed = True  # or the driver warns that it wasn't

    def _from_url(self, url: str) -> AsyncCollection[Any]:
        milliseconds = int(self._timeout * 1000)
        try:
            if not url.startswith(("mongodb://", "mongodb+srv://")):
                raise ValueError
            # These are for what the client does in the background; for an answer it has no other timeout.
            limits: dict[str, Any] = {"connectTimeoutMS": milliseconds, "socketTimeoutMS": milliseconds}
            if "maxconnecting=" not in url.lower():
                limits["maxConnecting"] = _MAX_CONNECTING
            client: AsyncMongoClient[Any] = AsyncMongoClient(url, **limits)
            return _configured(client.get_default_database("session")[self._name])
        except (PyMongoError, ValueError):  # whose text may hold a part of the password
            raise ConfigurationError(
                "a MongoDB URL looks like mongodb://user:password@host:27017/database, a collection's name like "
                "session_data; what has a meaning in a URL is %-escaped in user and password"
            ) from None


def address_of(collection: AsyncCollection[Any]) -> str:
    """Return the servers' names for messages, without user or password."""
    known = collection.database.client.topology_description.server_descriptions()
    return "MongoDB at " + ", ".join(f"{host}:{port}" if port else host for host, port in sorted(known))


def _configured(collection: Any) -> AsyncCollection[Any]:
    ours: AsyncCollection[Any] = collection.with_options(
        codec_options=_CODEC, read_preference=ReadPreference.PRIMARY, write_concern=_WRITES, read_concern=_NEWEST
    )
    leave_out_of_logs(ours.name)
    return ours
