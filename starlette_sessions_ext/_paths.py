"""Write the path of a value for a message."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


def step(key: object) -> str:
    """Return a key or index in brackets.

    A key that isn't like a name may be data, and is left out.
    """
    is_shown = type(key) is int or (isinstance(key, str) and _NAME.fullmatch(key) is not None)
    return f"[{key!r}]" if is_shown else "[...]"
