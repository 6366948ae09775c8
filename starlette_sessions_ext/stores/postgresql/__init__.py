"""Sessions in PostgreSQL, by asyncpg; the migrations of their table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

if TYPE_CHECKING:
    from .store import PostgreSQLStore

__all__ = ["PostgreSQLStore"]

__getattr__, __dir__ = lazy_names(
    __name__, {"PostgreSQLStore": ".store"}
)  # its modules are used without the driver, too
