"""Sessions in PostgreSQL, by asyncpg; the migrations of their table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

__all__ = ["PostgreSQLStore"]

if TYPE_CHECKING:
    from .store import PostgreSQLStore
else:  # the other modules are used without the driver, too
    __getattr__, __dir__ = lazy_names(__name__, {"PostgreSQLStore": ".store"})
