"""A client of valkey-py, a fork of redis-py with the same calls.

Its exceptions aren't redis-py's.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from redis import exceptions


def is_of_valkey_py(given: object) -> bool:
    """Return whether this is a client of valkey.asyncio, without importing it."""
    module: Any = sys.modules.get("valkey.asyncio")
    return module is not None and isinstance(given, module.Valkey | module.ValkeyCluster)


class ValkeyClient:
    """Ask a client of valkey-py, and raise redis-py's errors instead of valkey-py's."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def execute_command(self, *arguments: bytes | str | int) -> Any:
        with _translated():
            reply = await self._client.execute_command(*arguments)
        return [_translate(item) for item in reply] if isinstance(reply, list) else reply

    async def info(self) -> Any:
        with _translated():
            return await self._client.info()

    async def scan_iter(self, **options: Any) -> AsyncIterator[bytes]:
        with _translated():
            async for name in self._client.scan_iter(**options):
                yield name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        own = _translate(error)
        if own is error:
            raise
        raise own from error.__cause__ or error.__context__


def _translate(item: Any) -> Any:
    """Return redis-py's exception for one of valkey-py's, and anything else as it is."""
    if not isinstance(item, Exception) or not type(item).__module__.startswith("valkey."):
        return item
    names = [kind.__name__.replace("Valkey", "Redis") for kind in type(item).__mro__]
    return next(kind for name in names if (kind := getattr(exceptions, name, None)))(*item.args)
