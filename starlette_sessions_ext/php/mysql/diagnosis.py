"""What is wrong with a table of PHP's sessions, for sessions and for those of Python."""

from __future__ import annotations

from collections.abc import Iterator

from ...stores.base import Finding
from .columns import Columns

_UNICODE = ("utf8", "utf8mb3", "utf8mb4")
_SHORTEST = 32
"""Characters of an id, unless php.ini says otherwise."""


def findings_of(columns: Columns) -> Iterator[Finding]:
    """Yield what the columns change in what is stored."""
    if not columns.id_collation.endswith("_bin") and columns.id_collation != "binary":
        yield Finding(
            f"the ids have the collation {columns.id_collation}, to which upper and lower case are the same: PHP may "
            "open the session of another visitor",
            "give the column CHARACTER SET ascii COLLATE ascii_bin",
        )
    if columns.id_length < _SHORTEST:
        yield Finding(
            f"the column of the ids holds {columns.id_length} characters, and PHP makes ids of {_SHORTEST} to 256",
            "make the column longer, or set session.sid_length",
        )
    if columns.charset in ("utf8", "utf8mb3"):
        yield Finding(
            "the data are utf8mb3: an emoji that PHP stores becomes question marks, and may destroy its session",
            "give the column utf8mb4, and PHP's connection charset=utf8mb4",
        )
    elif columns.charset is not None and columns.charset not in _UNICODE:
        yield Finding(
            f"the data are {columns.charset}: what isn't in that is changed when PHP stores it, and destroys the "
            "session",
            "give the column utf8mb4, and PHP's connection charset=utf8mb4",
        )
