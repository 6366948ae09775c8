"""A small client of HTTP/1.1 and WebSockets, which costs little, sees what was sent, and can hang up early."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

PATIENCE = 15.0
"""Seconds after which a client gives up: longer than the package goes on trying."""

NO_ANSWER, HUNG_UP = 0, -1
"""In the place of a status."""


class Answer(NamedTuple):
    status: int
    cookie: str | None = None
    """The cookie that was set; empty if it was removed, None if neither."""
    body: dict[str, Any] = {}


class Tab:
    """Keeps one connection to each worker, and asks one at a time."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._connections: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def get(
        self, path: str, cookie: str, query: Mapping[str, str], *, hang_up_after: float | None = None
    ) -> Answer:
        """Ask any of the workers, once."""
        port = random.choice(self._ports)
        try:
            async with asyncio.timeout(PATIENCE if hang_up_after is None else hang_up_after):
                reader, writer = await self._connection(port)
                writer.write(_request(f"{path}?{urlencode(query)}", cookie))
                answer = await _answer(reader)
            if answer.status != 200:  # what comes with it, of whatever length, isn't read
                self._close(port)
            return answer
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self._close(port)
            return Answer(HUNG_UP if hang_up_after is not None and isinstance(error, TimeoutError) else NO_ANSWER)

    async def talk(self, cookie: str) -> ClientConnection | None:
        """Open a WebSocket to any of the workers; None if it isn't accepted."""
        with suppress(OSError, TimeoutError, WebSocketException):
            address = f"ws://127.0.0.1:{random.choice(self._ports)}/talk"
            return await connect(
                address, additional_headers={"Cookie": f"session={cookie}"}, compression=None, open_timeout=PATIENCE
            )
        return None

    def close(self) -> None:
        for port in list(self._connections):
            self._close(port)

    async def _connection(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if (known := self._connections.get(port)) and not known[0].at_eof():
            return known
        self._close(port)
        self._connections[port] = await asyncio.open_connection("127.0.0.1", port)
        return self._connections[port]

    def _close(self, port: int) -> None:
        if known := self._connections.pop(port, None):
            known[1].transport.abort()


async def ask(socket: ClientConnection, text: str) -> Answer:
    """Say something and hear the answer."""
    try:
        async with asyncio.timeout(PATIENCE):
            await socket.send(text)
            body = json.loads(await socket.recv())
        return Answer(body.pop("status"), None, body)
    except (OSError, TimeoutError, WebSocketException):
        return Answer(NO_ANSWER)


def _request(target: str, cookie: str) -> bytes:
    headers = f"Cookie: session={cookie}\r\n" if cookie else ""
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head[9:12])
    cookie, length = None, 0
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name == "set-cookie":
            cookie = value.split(";")[0].partition("=")[2]
        elif name == "content-length":
            length = int(value)
    body = json.loads(await reader.readexactly(length)) if status == 200 else {}
    return Answer(status, cookie, body)
