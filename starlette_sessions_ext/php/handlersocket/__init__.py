"""The sessions of Phalcon's adapter HandlerSocket, as a store over HandlerSocket."""

from __future__ import annotations

from .store import PHPHandlerSocketStore

__all__ = ["PHPHandlerSocketStore"]
