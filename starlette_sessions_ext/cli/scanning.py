"""Go through all rows of a store, many at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any

import anyio

from ..errors import ConfigurationError
from ..stores.base import SessionStore, SupportsListing
from .output import Progress

AT_ONCE = 50
"""Rows that are looked at together: stores make few calls of them."""


def all_keys(store: SessionStore) -> AsyncIterator[str]:
    """Return the keys of all rows.

    Raises `ConfigurationError` if the store can't list them.
    """
    if not isinstance(store, SupportsListing):
        raise ConfigurationError("this store can't go through its sessions")
    return store.all_keys()


async def batches(store: SessionStore) -> AsyncGenerator[list[str], None]:
    """Yield the keys of all rows in batches, and show their number on a terminal."""
    progress, count, batch = Progress(), 0, list[str]()
    try:
        async for key in all_keys(store):
            batch.append(key)
            if len(batch) == AT_ONCE:
                yield batch
                count += len(batch)
                progress.say(f"{count} rows looked at")
                batch = []
        if batch:
            yield batch
    finally:
        progress.end()


async def at_once(look_at: Callable[[str], Coroutine[Any, Any, None]], keys: list[str]) -> None:
    """Call a function with each key, all of them at the same time."""
    async with anyio.create_task_group() as group:
        for key in keys:
            group.start_soon(look_at, key)
