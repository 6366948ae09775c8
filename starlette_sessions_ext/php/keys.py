"""Keys of arrays, as PHP has them.

A decimal number of 64 bits is an integer, whether it was given as text or not.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import CantWrite
from .limits import MAX_INT, MIN_INT

_CANONICAL = re.compile("0|-?[1-9][0-9]{0,18}")

_LONGEST = 64
"""Characters of a key that is remembered."""
_MOST = 4096
"""Keys that are remembered."""


def is_integer(key: str) -> bool:
    """Return whether PHP makes an integer of this key."""
    return _CANONICAL.fullmatch(key) is not None and MIN_INT <= int(key) <= MAX_INT


class _Texts(dict[str, str]):
    """The texts of keys that were written lately.

    So most are found without a call of a Python function.
    """

    def __missing__(self, key: str) -> str:
        if type(key) is not str:
            raise _NotText
        text = _text_of(key)
        if len(key) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[key] = text
        return text


class _NotText(Exception):
    """A key isn't a str."""


_texts = _Texts()


def texts_of_keys(data: dict[Any, Any]) -> list[str]:
    """Return what PHP writes for each key.

    Raises `CantWrite` for a key that PHP can't have.
    """
    try:
        return list(map(_texts.__getitem__, data))
    except _NotText:
        return list(map(_texts.__getitem__, _names(data)))


def _names(data: dict[Any, Any]) -> list[str]:
    """Return the keys as text; some are integers, or derived from str."""
    names = []
    for key in data:
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise CantWrite("a key of a dict in it is neither a str nor an int")
        names.append(str.__str__(key) if isinstance(key, str) else str(int(key)))
    if len(set(names)) != len(names):
        raise CantWrite('two keys of a dict in it would become one in PHP, as 1 and "1" do')
    return names


def _text_of(key: str) -> str:
    if is_integer(key):
        return f"i:{key};"
    try:
        return f's:{len(key.encode())}:"{key}";'
    except UnicodeEncodeError:
        raise CantWrite("a key of a dict in it holds a lone surrogate, which isn't text") from None
