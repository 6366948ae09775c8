"""The contract of a serializer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Serializer(Protocol):
    """Turn the dict of a session into bytes and back.

    `dumps` must be deterministic, and `dumps(loads(b)) == b`: a change is found by comparing
    bytes, so a serializer that gives other bytes for equal data writes on every request.
    """

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        """Raise `NotSerializable`, naming the key at fault, for what can't be stored."""
        ...

    def loads(self, raw: bytes) -> dict[str, Any]:
        """Raise `CorruptRecord` for bytes that `dumps` can't have made."""
        ...
