"""What is wrong with the indexes of a collection of PHP's sessions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...stores.base import Finding


def findings_of(indexes: Mapping[str, Any], lifetime: int) -> Iterator[Finding]:
    """Yield the TTL indexes that delete sessions before their time, or never."""
    for name, index in indexes.items():
        seconds = index.get("expireAfterSeconds")
        fields = [field for field, _ in index["key"]]
        if seconds is not None and (fields != ["modified"] or seconds < lifetime):
            yield Finding(
                f"the TTL index {name} doesn't go with what PHP writes: it deletes documents after {seconds} seconds "
                f"by {', '.join(fields)}",
                f"drop it; one on modified with at least {lifetime} seconds does",
            )
