"""The state of a DatabaseStore in one event loop."""

from __future__ import annotations

from typing import NamedTuple

from .._support.batching import Batcher
from ..base import Stored
from .connections import Connections


class LoopState(NamedTuple):
    """The connections and batches of one event loop."""

    connections: Connections
    loads: Batcher[str, Stored | None]

    async def aclose(self) -> None:
        await self.connections.aclose()
        await self.loads.wait_all()

    def abandon(self) -> None:
        self.connections.abandon()
