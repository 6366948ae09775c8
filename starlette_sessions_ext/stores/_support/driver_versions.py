"""Check that an installed driver is recent enough for its store."""

from __future__ import annotations

import re
from importlib.metadata import version

MINIMUM_VERSIONS: dict[str, tuple[str, tuple[int, ...]]] = {
    # Earlier ones hand out connections that were closed, or a cancelled query's answer.
    "asyncmy": ("mysql", (0, 2, 18)),
    # The pools of earlier ones lose the place of each connection that fell silent, until they have none.
    "asyncpg": ("postgresql", (0, 32)),
    # Earlier ones block the event loop while they connect.
    "pymongo": ("mongo", (4, 14)),
    # Earlier ones can't be made from a pool, or take a refused connection for a silent one.
    "redis": ("redis", (5, 0, 2)),
}


def check_version(driver: str) -> None:
    """Raise ImportError, with the command to run, if the installed driver is too old."""
    extra, minimum = MINIMUM_VERSIONS[driver]
    found = version(driver)
    if tuple(map(int, re.findall(r"\d+", found)[:3])) < minimum:
        least = ".".join(map(str, minimum))
        raise ImportError(
            f"{driver} {found} is too old, {least} is the first that works:"
            f' pip install --upgrade "starlette-sessions-ext[{extra}]"'
        )
