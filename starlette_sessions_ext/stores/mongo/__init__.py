"""Sessions in MongoDB, by pymongo or motor."""

from .store import MongoStore

__all__ = ["MongoStore"]
