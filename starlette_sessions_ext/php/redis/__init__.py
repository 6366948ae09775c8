"""The sessions of phpredis, PHP's extension for Redis, as a store."""

from __future__ import annotations

from .store import PHPRedisStore

__all__ = ["PHPRedisStore"]
