"""Sessions in MySQL or MariaDB, by asyncmy; the migrations of all MySQL tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

__all__ = ["DatabaseStore"]

if TYPE_CHECKING:
    from .store import DatabaseStore
else:  # the other modules are used without the driver, too
    __getattr__, __dir__ = lazy_names(__name__, {"DatabaseStore": ".store"})
