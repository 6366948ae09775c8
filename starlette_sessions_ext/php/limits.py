"""Limits of what is read and written. What is written can always be read again."""

from __future__ import annotations

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of a session. A column or a key of PHP rarely holds more."""

MAX_VALUES = 200_000
"""Values in a session, arrays and what they hold counted."""

MAX_COPIES = 10_000
"""Values that PHP references stand for, for which Python has no counterpart but a copy."""

MAX_DEPTH = 128
"""How deep arrays and objects may nest. PHP reads 4096 levels; Python's call stack can't."""

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
"""Integers that a 64-bit PHP can hold. It replaces others by the nearest of these."""
