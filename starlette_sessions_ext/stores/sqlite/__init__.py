"""Sessions in an SQLite file."""

from .store import SQLiteStore

__all__ = ["SQLiteStore"]
