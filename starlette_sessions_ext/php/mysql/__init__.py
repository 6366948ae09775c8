"""The sessions of Phalcon's adapters Database and HandlerSocket.

The stores work on the tables of these adapters.
"""

from __future__ import annotations

from .store import PHPDatabaseStore, PHPSessionTableStore

__all__ = ["PHPDatabaseStore", "PHPSessionTableStore"]
