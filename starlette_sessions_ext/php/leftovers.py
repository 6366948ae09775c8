"""The finding that expired sessions aren't collected."""

from __future__ import annotations

from collections.abc import Iterator

from ..stores.base import Finding


def left_behind(count: int) -> Iterator[Finding]:
    """Yield the finding if sessions are there that ended more than a lifetime ago."""
    if count:
        yield Finding(
            f"{count} sessions that ended more than a lifetime ago are still there: nothing collects them",
            "call delete_expired of the store now and then. Debian turns PHP's own collection off "
            "(session.gc_probability=0), and its timer knows the lifetimes and paths of php.ini alone",
        )
