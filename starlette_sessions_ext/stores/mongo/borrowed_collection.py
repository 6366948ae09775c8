"""Checks of the arguments that a MongoStore is made from. Pure."""

from __future__ import annotations

import sys

from pymongo import MongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.collection import Collection as BlockingCollection
from pymongo.database import Database as BlockingDatabase

from ...errors import ConfigurationError

_BLOCKING = (MongoClient, BlockingDatabase, BlockingCollection)


def check_borrowed(collection_or_url: object, name: object) -> None:
    """Raise `ConfigurationError` for neither a collection nor a URL, or no name.

    The error says what to give. The name is that of a URL's collection.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError("collection must be the name of a collection, such as session_data")
    if isinstance(collection_or_url, _BLOCKING):
        raise ConfigurationError("a MongoClient blocks the event loop: give a collection of AsyncMongoClient")
    if not isinstance(collection_or_url, str | AsyncCollection) and not _is_of_motor(collection_or_url):
        raise ConfigurationError(
            f"MongoStore can't be made from {type(collection_or_url).__name__}: give a URL, such as"
            ' mongodb://user:password@host:27017/shop, or give a collection, such as client["shop"]["session_data"]'
        )


def _is_of_motor(given: object) -> bool:
    """Return whether this is a collection of motor, which is imported if there is one."""
    motor = sys.modules.get("motor.core")
    return motor is not None and isinstance(given, motor.AgnosticCollection)
