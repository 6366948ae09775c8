"""The collection that holds the sessions: how it is read and written, and its client in each event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection as BlockingCollection
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from ..errors import ConfigurationError
from ._mongo_log import leave_out_of_logs

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection
    from pymongo.asynchronous.collection import AsyncCollection

# A date or a text of a foreign document that Python has no value for must not fail the documents read with it.
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="replace"
)

# Whatever the client's or the URL's settings are: a write is acknowledged when a majority has it in its journal, so
# that no election and no crash undoes it, be it a logout. Reads go to the primary and take its newest state ("local"),
# where every acknowledged write is seen. "majority" could return the state before a write that is still under way, and
# a lost compare-and-swap would load the same stale version again and again; "local" may show such a write early, but
# a swap that builds on it is acknowledged only after it. One gap is left: a primary that was cut off answers reads,
# though no writes, until it steps down some seconds later. "linearizable" would close it, but makes every read wait
# for a majority too, and a server without a replica set refuses it.
_WRITES = WriteConcern(w="majority", j=True)  # j, because without a replica set "majority" alone is memory
_NEWEST = ReadConcern("local")
SETTLED = ReadConcern("majority")  # what no election can take back

_DIALS = 50
"""Connections that may be made at once, unless the URL says `maxConnecting`.

By itself pymongo makes two at a time: after a network failure who wants one waits for others who do,
and some for as long as their budget lasts.
"""


class Rows:
    """A collection that was given, or that of a URL; `timeout` (seconds) bounds what its client does by itself."""

    def __init__(
        self, collection_or_url: AsyncCollection[Any] | AsyncIOMotorCollection[Any] | str, name: str, timeout: float
    ) -> None:
        self._name = name
        self._timeout = timeout
        self._url = collection_or_url if isinstance(collection_or_url, str) else None
        self._loop: asyncio.AbstractEventLoop | None = None
        if isinstance(collection_or_url, BlockingCollection):
            raise ConfigurationError("a MongoClient blocks the event loop: give a collection of AsyncMongoClient")
        self._collection: AsyncCollection[Any] = (
            self._from_url(collection_or_url) if isinstance(collection_or_url, str) else _as_ours(collection_or_url)
        )

    def current(self) -> AsyncCollection[Any]:
        """The collection, of a new client where the event loop is another: a client belongs to the loop it was used in.

        So it is in tests with Starlette's TestClient, which runs every request in a loop of its own
        unless it is used in `with`.
        """
        if self._url is not None and self._loop is not (loop := asyncio.get_running_loop()):
            if self._loop is not None:
                self._collection = self._from_url(self._url)
            self._loop = loop
        return self._collection

    async def aclose(self) -> None:
        """Close the client of a URL. It refuses what is still under way; after `forget` the next use makes another."""
        if self._url is not None and self._loop is asyncio.get_running_loop():  # another loop's client ended with it
            with pymongo.timeout(self._timeout):
                await self._collection.database.client.close()

    def forget(self) -> None:
        if self._url is not None:
            self._collection, self._loop = self._from_url(self._url), None

    def place(self) -> str:
        """The servers' names for messages, without user or password."""
        known = self._collection.database.client.topology_description.server_descriptions()
        return "MongoDB at " + ", ".join(f"{host}:{port}" if port else host for host, port in sorted(known))

    def _from_url(self, url: str) -> AsyncCollection[Any]:
        milliseconds = int(self._timeout * 1000)
        try:
            if not url.startswith(("mongodb://", "mongodb+srv://")):
                raise ValueError
            # These are for what the client does in the background; for an answer it has no timeout of its own.
            limits: dict[str, Any] = {"connectTimeoutMS": milliseconds, "socketTimeoutMS": milliseconds}
            if "maxconnecting=" not in url.lower():
                limits["maxConnecting"] = _DIALS
            client: AsyncMongoClient[Any] = AsyncMongoClient(url, **limits)
            return _as_ours(client.get_default_database("session")[self._name])
        except (PyMongoError, ValueError):  # whose text may hold a part of the password
            raise ConfigurationError(
                "a MongoDB URL looks like mongodb://user:password@host:27017/database, a collection's name like "
                "session_data; what has a meaning in a URL is %-escaped in user and password"
            ) from None


def _as_ours(collection: Any) -> AsyncCollection[Any]:
    ours: AsyncCollection[Any] = collection.with_options(
        codec_options=_CODEC, read_preference=ReadPreference.PRIMARY, write_concern=_WRITES, read_concern=_NEWEST
    )
    leave_out_of_logs(ours.name)
    return ours
