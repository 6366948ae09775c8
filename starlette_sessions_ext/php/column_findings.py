"""The findings about columns of a table of PHP's sessions. Pure.

They concern sessions of PHP, and those of Python.
"""

from __future__ import annotations

from ..stores.base import Finding

_SHORTEST = 32
"""Characters of an id, unless php.ini says otherwise."""


def ids_ignore_case(collation: str) -> Finding:
    """Return the finding that upper and lower case are the same in ids.

    `collation` is named, as in `the collation utf8_general_ci`, or described.
    """
    return Finding(
        f"the ids have {collation}, to which upper and lower case are the same: PHP may "
        "open the session of another visitor",
        "give the column CHARACTER SET ascii COLLATE ascii_bin",
    )


def short_ids(characters: int) -> list[Finding]:
    """Say whether a column of this length cuts the ids that PHP makes."""
    if characters >= _SHORTEST:
        return []
    return [
        Finding(
            f"the column of the ids holds {characters} characters, and PHP makes ids of {_SHORTEST} to 256",
            "make the column longer, or set session.sid_length",
        )
    ]


def narrow_text() -> Finding:
    """Return the finding that the data are utf8mb3.

    That character set has no characters above U+FFFF.
    """
    return Finding(
        "the data are utf8mb3: an emoji that PHP stores becomes question marks, and may destroy its session",
        "give the column utf8mb4, and PHP's connection charset=utf8mb4",
    )
