"""Replace the sessions of one event-loop iteration by one statement."""

from __future__ import annotations

from typing import NamedTuple

from . import statements
from .table import SessionTable


class Replacement(NamedTuple):
    """The arguments of `replace`, in the order of the statement's values."""

    key: str
    version: int
    data: bytes
    expires_at: int
    owner: str | None


async def replace_together(table: SessionTable, replacements: list[Replacement], now: int) -> list[bool | None]:
    """Return whether each took place, or None where that is to be seen.

    A statement for the replacement alone shows it.
    """
    if len(replacements) == 1:
        return [await table.change(statements.REPLACE, *replacements[0], now)]
    first = _first_of_each_key(replacements)
    replaced = set(await table.fetch_keys(statements.REPLACE_MANY, *_as_columns(first), now))
    done = {id(new) for new in first if new.key in replaced}
    return [True if id(new) in done else None for new in replacements]


def _first_of_each_key(replacements: list[Replacement]) -> list[Replacement]:
    """Return the first for each key, sorted by keys: a statement changes a row once."""
    first: dict[str, Replacement] = {}
    for replacement in replacements:
        first.setdefault(replacement.key, replacement)
    return sorted(first.values())


def _as_columns(replacements: list[Replacement]) -> tuple[list[object], ...]:
    """Return the values of a statement that takes an array for each column."""
    return tuple(list(column) for column in zip(*replacements, strict=True))
