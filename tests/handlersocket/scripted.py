"""A server that says whatever a test wants: what no real one can be brought to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from starlette_sessions_ext.handlersocket import frames

FENCED = b"2\t1\tcmd\n"
"""The answer to a fence."""

Answer = Callable[[bytes], bytes | None]


class ScriptedServer:
    """Sends what `answer` makes of each line; None closes the connection. It reads while `reading` is set.

    It answers a fence too, unless it left the line before unanswered.
    """

    def __init__(self, answer: Answer, *, piece: int = 65536) -> None:
        self.port = 0
        self.connections = 0
        self.current = 0
        self.lines: list[bytes] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self._answer = answer
        self._piece = piece
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.current += 1
        said: bytes | None = b""
        try:
            with suppress(ConnectionError):
                while await self.reading.wait() and (line := await reader.readline()):
                    if line == frames.FENCE:
                        said = said and FENCED
                    else:
                        self.lines.append(line)
                        said = self._answer(line)
                    if said is None:
                        break
                    await self._say(said, writer)
        finally:
            self.current -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _say(self, said: bytes, writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(said), self._piece):
            writer.write(said[at : at + self._piece])
            await writer.drain()
            await asyncio.sleep(0)


def opens_then(said: bytes | None) -> Answer:
    """Accept any secret and index; answer everything else in this one way."""
    return lambda line: b"0\t1\n" if line[:1] in b"AP" else said


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what will come without a word."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def error_of(call: Awaitable[object]) -> BaseException | None:
    """How it fails, if it does."""
    [outcome] = await asyncio.gather(call, return_exceptions=True)
    return outcome if isinstance(outcome, BaseException) else None
