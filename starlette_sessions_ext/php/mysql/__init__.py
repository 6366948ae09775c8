"""The sessions of Phalcon's adapters Database and HandlerSocket, as stores over their tables."""

from __future__ import annotations

from .store import PHPDatabaseStore, PHPSessionTableStore

__all__ = ["PHPDatabaseStore", "PHPSessionTableStore"]
