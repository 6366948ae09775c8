"""The state of a PostgreSQLStore in one event loop."""

from __future__ import annotations

from typing import NamedTuple

from .._support.batching import Batcher
from .._support.shielding import DetachedTasks
from ..base import Stored
from .connections import Connections
from .replacing import Replacement


class LoopState(NamedTuple):
    """The connections, batches and detached tasks of one event loop."""

    connections: Connections
    loads: Batcher[str, Stored | None]
    replaces: Batcher[Replacement, bool | None]
    detached: DetachedTasks
    timeout: float

    async def aclose(self) -> None:
        """Wait for running operations, and close the connections.

        The wait is up to the budget of an operation.
        """
        await self.detached.wait_all(None, self.timeout)
        await self.loads.wait_all(self.timeout)
        await self.replaces.wait_all(self.timeout)
        await self.connections.aclose()

    def abandon(self) -> None:
        self.connections.abandon()
