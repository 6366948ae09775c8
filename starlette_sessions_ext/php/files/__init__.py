"""The sessions of PHP's own `files` handler, as a store."""

from __future__ import annotations

from .store import PHPFileStore

__all__ = ["PHPFileStore"]
