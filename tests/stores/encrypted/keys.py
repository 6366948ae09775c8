"""Keys of the tests, the same in each of their processes."""

from __future__ import annotations

import base64
import hashlib


def _key(name: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")


OLD, NEW = _key("old"), _key("new")
