"""A connection without fences: any line is the answer to the oldest request. The tests have to catch it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette_sessions_ext.handlersocket import Connection, frames
from starlette_sessions_ext.handlersocket.connection import Slot

from .scripted import FENCED


class TrustingConnection(Connection[Slot]):
    """Sends all at once and no fence, and makes up the answer to one behind each line that comes."""

    def next_batch(self) -> bytes:
        batch = super().next_batch()
        self._due = None
        return batch.removesuffix(frames.FENCE)

    def receive(self, data: bytes) -> Iterator[tuple[Slot, Any]]:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._due = 1 if self._open else None
            yield from super().receive(line + b"\n" + FENCED)
        yield from super().receive(rest)
