"""Find what is wrong with a table of PHP's sessions.

It concerns sessions of PHP, and those of Python.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...stores.base import Finding
from ..column_findings import ids_ignore_case, narrow_text, short_ids
from .columns import Columns

_UNICODE = ("utf8", "utf8mb3", "utf8mb4")


def findings_of(columns: Columns) -> Iterator[Finding]:
    """Yield what the columns change in what is stored."""
    if not columns.id_collation.endswith("_bin") and columns.id_collation != "binary":
        yield ids_ignore_case(f"the collation {columns.id_collation}")
    yield from short_ids(columns.id_length)
    if columns.charset in ("utf8", "utf8mb3"):
        yield narrow_text()
    elif columns.charset is not None and columns.charset not in _UNICODE:
        yield Finding(
            f"the data are {columns.charset}: what isn't in that is changed when PHP stores it, and destroys the "
            "session",
            "give the column utf8mb4, and PHP's connection charset=utf8mb4",
        )
