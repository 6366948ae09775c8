"""The documents of Phalcon's adapter Mongo, as a store."""

from __future__ import annotations

from .store import PHPMongoStore

__all__ = ["PHPMongoStore"]
