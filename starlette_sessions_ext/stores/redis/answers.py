"""Wait for what Redis answers, and translate errors to those of a store.

The errors are Redis' and redis-py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ...errors import StoreUnavailable
from .errors import DRIVER_ERRORS, Refusal, ServerAddress, cause_of, explain, glob, is_foreign


class Answers:
    """The answers of a store's server.

    `seconds` is the budget of one operation, which messages name.
    """

    def __init__(self, server: ServerAddress, *, prefix: str, seconds: float) -> None:
        self._server = server
        self._prefix = prefix
        self._seconds = seconds

    async def of(self, call: Awaitable[Any]) -> Any:
        """Wait for what a script says of a row.

        Return 0 for a key that holds something else, which is no session.
        """
        try:
            return await call
        except DRIVER_ERRORS as error:
            if is_foreign(error):
                return 0
            raise self.store_error(error) from cause_of(error)

    async def of_all(self, calls: Iterable[Awaitable[Any]]) -> list[Any]:
        """Wait for what scripts say of rows, in the order of the calls."""
        return await asyncio.gather(*(self.of(call) for call in calls))

    async def keys(self, client: Any) -> AsyncIterator[str]:
        """Yield all keys of the server, or Cluster, that begin with the prefix.

        The keys come without the prefix.
        """
        names = aiter(client.scan_iter(match=glob(self._prefix) + "*", count=1000))
        while True:
            async with self.within(self._seconds):
                name = await anext(names, None)
            if name is None:
                return
            yield name.decode(errors="replace").removeprefix(self._prefix)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Bound what is awaited inside, and translate its errors."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except DRIVER_ERRORS as error:
            raise self.store_error(error) from cause_of(error)

    def store_error(self, error: Exception, rights: Sequence[str] = ()) -> StoreUnavailable:
        """Return the error for users of a store that redis-py's error stands for.

        `rights` are needed besides those of every session.
        """
        refusal = self.explain(error, rights)
        return refusal.kind(f"{self._server.address} {refusal.problem}: {refusal.remedy}")

    def explain(self, error: Exception, rights: Sequence[str] = ()) -> Refusal:
        return explain(error, self._server, prefix=self._prefix, seconds=self._seconds, rights=rights)
