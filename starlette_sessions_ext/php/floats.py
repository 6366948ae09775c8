"""Floats as PHP writes and reads them.

PHP 7.1 and later writes the shortest digits that give the same float back, as Python does, but lays them
out differently (php-src main/snprintf.c, `php_gcvt` with 17 digits). Another layout of the same float is
read as well. But PHP would then write its own with the next request, although nothing changed.
"""

from __future__ import annotations

import re

_NAMES = {"NAN": float("nan"), "INF": float("inf"), "-INF": float("-inf")}
_WRITTEN_NAMES = {"nan": "NAN", "inf": "INF", "-inf": "-INF"}

_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""What PHP's own scanner takes. Python's `float` takes blanks, underscores and other names as well."""

_LONGEST = 400
"""Characters of the longest float, without leading zeros: above any value of `serialize_precision` in use."""


def float_text(value: float) -> str:
    """Return what PHP writes between `d:` and the semicolon."""
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text:
        return _with_exponent(text)
    return _WRITTEN_NAMES.get(text, text)


def _with_exponent(text: str) -> str:
    """Lay out what Python writes with an exponent, as `1.5e-07`."""
    digits, _, exponent = text.partition("e")
    power = int(exponent)
    if power == 16:  # PHP writes an exponent only for more than 17 digits before the point
        whole, _, fraction = digits.partition(".")
        return whole + fraction.ljust(power, "0")
    return f"{digits if '.' in digits else digits + '.0'}E{power:+d}"


def read_float(text: str) -> float | None:
    """Return the float that PHP would read, or None if it would read none."""
    if len(text) > _LONGEST:
        text = re.sub("^([+-]?)0+", r"\g<1>0", text)
    if len(text) <= _LONGEST and _FLOAT.fullmatch(text):
        return float(text)
    return _NAMES.get(text)
