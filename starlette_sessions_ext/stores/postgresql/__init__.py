"""Sessions in PostgreSQL, by asyncpg; the migrations of their table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .store import PostgreSQLStore

__all__ = ["PostgreSQLStore"]


def __getattr__(name: str) -> Any:
    """Import the store, and its driver, at its first use."""
    if name != "PostgreSQLStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .store import PostgreSQLStore

    return PostgreSQLStore
