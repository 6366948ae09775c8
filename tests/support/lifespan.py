"""A server's side of the lifespan protocol."""

from __future__ import annotations

from typing import Any

import anyio
from starlette.types import Message


class Lifespan:
    """Starts the application and, if that went well, stops it. `sent` is what it reports."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.sent: list[Message] = []
        self._stop = anyio.Event()
        self._received = 0

    async def receive(self) -> Message:
        self._received += 1
        if self._received == 1:
            return {"type": "lifespan.startup"}
        await self._stop.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "lifespan.startup.complete":
            self._stop.set()

    async def run(self) -> None:
        with anyio.fail_after(30):
            await self.app({"type": "lifespan", "asgi": {}, "state": {}}, self.receive, self.send)
