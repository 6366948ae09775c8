"""Count the rows of a store, and measure them."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._core.record import Alias, decode
from ..errors import CorruptRecord
from ..stores.base import SessionStore, SupportsOwners
from .scanning import at_once, batches

PERCENTILES = (50, 90, 99, 100)


@dataclass
class Statistics:
    """Counts of rows, and the sizes of those that are live sessions, in bytes."""

    rows: int = 0
    complete: bool = True
    """Whether there are no other rows."""
    live: int = 0
    expired: int = 0
    renewed: int = 0
    """Old ids, which lead to the session for a moment."""
    unreadable: int = 0
    """Rows that aren't sessions, or that a key is missing for."""
    owners: set[str] | None = None
    """None where the store knows none."""
    sizes: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the printed values.

        `bytes` are sizes by percentile (nearest rank), None without a session.
        """
        sizes = sorted(self.sizes)
        ranks = {f"p{share}": -(-len(sizes) * share // 100) for share in PERCENTILES}
        return {
            "rows": self.rows,
            "complete": self.complete,
            "live": self.live,
            "expired": self.expired,
            "renewed": self.renewed,
            "unreadable": self.unreadable,
            "users": None if self.owners is None else len(self.owners),
            "bytes": {name: sizes[rank - 1] for name, rank in ranks.items()} if sizes else None,
        }


async def gather(store: SessionStore, limit: int) -> Statistics:
    """Look at up to `limit` rows.

    Raises `ConfigurationError` if the store can't list them.
    """
    statistics = Statistics(owners=set() if isinstance(store, SupportsOwners) else None)
    async with aclosing(batches(store)) as found:
        async for keys in found:
            room = limit - statistics.rows
            await at_once(partial(_look_at, store, statistics), keys[:room])
            if len(keys) > room:
                statistics.complete = False
                break
    return statistics


async def _look_at(store: SessionStore, statistics: Statistics, key: str) -> None:
    statistics.rows += 1
    try:
        stored = await store.load(key)
        if stored is None:
            statistics.expired += 1
            return
        if isinstance(decode(stored.data, key), Alias):
            statistics.renewed += 1
            return
    except CorruptRecord:
        statistics.unreadable += 1
        return
    statistics.live += 1
    statistics.sizes.append(len(stored.data))
    if statistics.owners is not None and isinstance(store, SupportsOwners):
        owner = await store.owner_of(key)
        if owner is not None:
            statistics.owners.add(owner)
