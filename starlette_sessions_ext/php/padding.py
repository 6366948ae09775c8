"""Zeros that make a stored session longer, and that PHP ignores.

A file that is overwritten in place with shorter data has to be cut, and a process may be killed in between. PHP reads
any number of zeros before a number, such as `s:0005:"hello";`, and stores its own form with the next change. So data
of the old length are written in one step. Two stored sessions are the same if they are without these zeros.
"""

from __future__ import annotations

import re

from .codec import Format

_NUMBERED = frozenset({b"a:", b"s:", b"i:", b"d:", b"O:", b"E:", b"C:"})
_ZEROS = re.compile(rb"0+(?=[0-9])")


def padded(data: bytes, length: int, format: Format) -> bytes | None:
    """Return the session with at least `length` bytes; None if it holds no number."""
    if len(data) >= length:
        return data
    position = _first_number(data, format)
    if position is None:
        return None
    return data[:position] + b"0" * (length - len(data)) + data[position:]


def without_padding(data: bytes, format: Format) -> bytes:
    """Return the session without the zeros that `padded` has put in."""
    position = _first_number(data, format)
    zeros = None if position is None else _ZEROS.match(data, position)
    return data if zeros is None else data[: zeros.start()] + data[zeros.end() :]


def _first_number(data: bytes, format: Format) -> int | None:
    """Return the position of the first number.

    It is a length, a count or a value of a variable.
    """
    start = 0
    while start < len(data):
        value = _value_after_key(data, start, format)
        if data[value : value + 2] in _NUMBERED:
            digits = value + 2 + (data[value + 2 : value + 3] in (b"-", b"+"))
            if data[digits : digits + 1].isdigit():
                return digits
        start = data.find(b";", value) + 1  # behind N;, b:1; or d:INF;
        if not start:
            break
    return None


def _value_after_key(data: bytes, start: int, format: Format) -> int:
    if format == "php":
        return data.find(b"|", start) + 1 or len(data)
    return start + 1 + data[start] if format == "php_binary" else start
