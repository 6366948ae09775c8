"""Sessions that PHP 8.2 stored, and inputs that it never stores, with their bytes as Latin-1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from starlette_sessions_ext.php import Format

_FOLDER = Path(__file__).parent


class Stored(NamedTuple):
    """A session as it is stored. `value` is what JSON says of it; None if it has no JSON."""

    name: str
    format: Format
    data: bytes
    value: Any


def read_recorded(name: str) -> list[Stored]:
    """Return what a file of this folder holds."""
    entries = json.loads((_FOLDER / name).read_text())
    return [
        Stored(entry["name"], entry["format"], entry["stored"].encode("latin-1"), entry.get("value"))
        for entry in entries
    ]


VECTORS = read_recorded("vectors.json")
ODD_INPUTS = read_recorded("odd_inputs.json")
