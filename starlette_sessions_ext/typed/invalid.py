"""The error for a value that doesn't fit its class."""

from __future__ import annotations

from .._paths import step

Path = tuple[str | int, ...]
"""Keys and indices that lead to a value."""


class Invalid(Exception):
    """An error: `reason` says what is expected at `path`. Neither holds the value."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        where = "".join(map(step, self.path))
        return f"at {where}: {self.reason}" if where else self.reason
