"""Sessions in Redis or Valkey, by redis-py."""

from .store import RedisStore

__all__ = ["RedisStore"]
