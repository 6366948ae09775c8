"""The client that everybody writes first, and that gives people other people's rows: what the tests have to catch.

It asks, and reads a line. A call that is cancelled in between leaves an answer behind, and the
connection, which is as open as before, goes to the next.
"""

from __future__ import annotations

import asyncio
from typing import Self

from starlette_sessions_ext.handlersocket import Index, Row, Where, frames


class NaivePool:
    def __init__(self) -> None:
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    @classmethod
    async def connect(cls, port: int, secret: str, index: Index, size: int) -> Self:
        pool = cls()
        for _ in range(size):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            pool._free.put_nowait((reader, writer))
            await pool._ask(frames.auth(secret))
            await pool._ask(
                frames.open_index(
                    index.id, index.database, index.table, index.name, index.columns, index.filter_columns
                )
            )
        return pool

    async def find(self, index: Index, where: Where) -> list[Row]:
        reply = frames.parse_reply(await self._ask(frames.find(index.id, where)))
        return [reply.values] if reply.values else []

    def close(self) -> None:
        while not self._free.empty():
            _, writer = self._free.get_nowait()
            writer.transport.abort()

    async def _ask(self, line: bytes) -> bytes:
        reader, writer = await self._free.get()
        try:
            writer.write(line)
            return (await reader.readline()).rstrip(b"\n")
        finally:
            self._free.put_nowait((reader, writer))
