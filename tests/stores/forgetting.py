"""A firewall that forgets connections which were idle: their packets vanish, and neither side learns of it."""

from __future__ import annotations

import asyncio

from starlette_sessions_ext.testing import FaultProxy


class ForgettingProxy(FaultProxy):
    """`forget()` lets nothing more through on the connections that there are; new ones work."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._forgotten: set[asyncio.StreamWriter] = set()

    def forget(self) -> None:
        self._forgotten = set(self._writers)

    async def _give(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer not in self._forgotten:
            await super()._give(writer, data)
