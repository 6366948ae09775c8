"""Sessions in MySQL or MariaDB, by asyncmy; the migrations of all MySQL tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .store import DatabaseStore

__all__ = ["DatabaseStore"]


def __getattr__(name: str) -> Any:
    """Import the store, and its driver, at its first use."""
    if name != "DatabaseStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .store import DatabaseStore

    return DatabaseStore
