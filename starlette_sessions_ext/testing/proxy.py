"""A TCP proxy that misbehaves on demand, between a store and its real server."""

from __future__ import annotations

import asyncio
import random
from types import TracebackType
from typing import Self


class FaultProxy:
    """Forward connections from a free port of 127.0.0.1 to `host:port`, on asyncio.

    Set `silent` to let nothing more through to the client (a black hole), `refusing` to close what
    connects, `delay` to keep all bytes back for up to that many seconds, either way, `single_bytes` to
    give the client its replies byte by byte; `drop_reply()` swallows the next bytes that the server
    sends, `cut_reply(after)` closes the connection after that many of them, and `hold_replies()`
    keeps them back until `release()`. `heal()` puts an end to all of these. `forget()` lets what is
    sent on the present connections vanish, either way and for good, as a firewall does that dropped
    them; new ones are served. `reset()` cuts every connection. `connections` counts all, `current`
    those that the client has open.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.silent = False
        self.refusing = False
        self.delay = 0.0
        self.single_bytes = False
        self.connections = 0
        self.current = 0
        self._target = (host, port)
        self._drops = 0
        self._cuts: list[int] = []
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def drop_reply(self) -> None:
        self._drops += 1

    def cut_reply(self, after: int) -> None:
        self._cuts.append(after)

    def hold_replies(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def heal(self) -> None:
        """Be a good network from now on. What was swallowed stays lost."""
        self.silent = self.refusing = self.single_bytes = False
        self.delay = 0.0
        self._drops = 0
        self._cuts.clear()
        self.release()

    def forget(self) -> None:
        self._forgotten = set(self._writers)

    def reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.release()
        self.reset()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        self.current += 1
        try:
            await asyncio.gather(
                self._pipe(reader, server_writer), self._pipe_replies(server_reader, writer), return_exceptions=True
            )
        finally:
            self.current -= 1
            self._writers -= {writer, server_writer}
            self._forgotten -= {writer, server_writer}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._wait()
                if writer in self._forgotten:
                    continue
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()

    async def _pipe_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.silent or writer in self._forgotten:
                    continue
                if self._drops:
                    self._drops -= 1
                    continue
                await self._open.wait()
                await self._wait()
                if self._cuts:
                    writer.write(data[: self._cuts.pop(0)])
                    break
                await self._give(writer, data)
        finally:
            writer.transport.abort()

    async def _give(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self.single_bytes:
            while len(data) > 1 and not writer.is_closing():
                writer.write(data[:1])
                data = data[1:]
                await asyncio.sleep(0)  # a reader in this event loop may see it alone
        writer.write(data)
        await writer.drain()

    async def _wait(self) -> None:
        if self.delay:
            await asyncio.sleep(random.uniform(0, self.delay))
