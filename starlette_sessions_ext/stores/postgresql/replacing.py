"""Replace the sessions of one event-loop iteration by one statement."""

from __future__ import annotations

from typing import NamedTuple


class Replacement(NamedTuple):
    """What `replace` is asked, in the order of the statement's values."""

    key: str
    version: int
    data: bytes
    expires_at: int
    owner: str | None


def first_of_each_key(replacements: list[Replacement]) -> list[Replacement]:
    """Return the first for each key, sorted by keys: a statement changes a row once."""
    first: dict[str, Replacement] = {}
    for replacement in replacements:
        first.setdefault(replacement.key, replacement)
    return sorted(first.values())


def as_columns(replacements: list[Replacement]) -> tuple[list[object], ...]:
    """Return the values of a statement that takes an array for each column."""
    return tuple(list(column) for column in zip(*replacements, strict=True))
