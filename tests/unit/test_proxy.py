"""The proxy of the exported suites, against an echo server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Literal

import pytest

from starlette_sessions_ext.testing import FaultProxy

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.servers import free_port

pytestmark = pytest.mark.anyio

HANG = 30.0
"""Seconds after which nothing will come any more."""


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the client leaves, or says goodbye by a full stop."""
        while data := await reader.read(100):
            writer.write(data)
            if data.endswith(b"."):
                break
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def ask(proxy: FaultProxy, *questions: bytes) -> bytes:
    """Send the questions, each when the one before is answered, and goodbye; what is answered until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    answer = b""
    async with asyncio.timeout(HANG):
        with suppress(ConnectionError):
            for question in questions:
                writer.write(question)
                answer += await reader.readexactly(len(question))
            writer.write(b".")
            answer += await reader.read()
    writer.transport.abort()
    return answer


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG):
        while not condition():
            await asyncio.sleep(0)


async def test_it_passes_on(proxy: FaultProxy) -> None:
    assert await ask(proxy, b"a", b"b") == b"ab."
    assert proxy.connections == 1


async def test_silent(proxy: FaultProxy) -> None:
    proxy.silent = True
    assert await ask(proxy) == b""


async def test_forgotten_connections_swallow_all_and_new_ones_are_served(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.read(100) == b"a"
    proxy.forget()
    writer.write(b"b")
    assert await ask(proxy, b"c") == b"c."
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(100)
    writer.transport.abort()


async def test_refusing(proxy: FaultProxy) -> None:
    proxy.refusing = True
    assert await ask(proxy) == b""


async def test_a_dropped_reply_never_comes(proxy: FaultProxy) -> None:
    proxy.drop_reply()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    await until(lambda: not proxy._drops)  # it came and was swallowed
    writer.write(b"b")
    assert await reader.read(100) == b"b"
    writer.transport.abort()


async def test_a_cut_reply_ends_the_connection(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.read(100) == b"a"
    proxy.cut_reply(2)
    writer.write(b"bcd")
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reader.readexactly(3)
    assert caught.value.partial == b"bc"
    writer.transport.abort()
    assert await ask(proxy, b"e") == b"e.", "the next connection is whole"


async def test_single_bytes(proxy: FaultProxy) -> None:
    proxy.single_bytes = True
    pieces: list[bytes] = []

    class Client(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            pieces.append(data)

    transport, _ = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", proxy.port)
    transport.write(b"abcdefgh")
    await until(lambda: len(b"".join(pieces)) == 8)
    assert b"".join(pieces) == b"abcdefgh"
    assert len(pieces) > 1, "not all at once"
    transport.close()


class Gate(asyncio.Event):
    """Notes that something waits for it."""

    reached = False

    async def wait(self) -> Literal[True]:
        self.reached = self.reached or not self.is_set()
        return await super().wait()


async def test_held_replies_come_late(proxy: FaultProxy) -> None:
    proxy._open = gate = Gate()
    proxy.hold_replies()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    reading = asyncio.ensure_future(reader.read(100))
    await until(lambda: gate.reached)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not reading.done()
    proxy.release()
    assert await reading == b"a"
    writer.transport.abort()


async def test_bytes_are_late_either_way(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `delay` at most, each by another time."""
    proxy.delay = 10.0
    slept: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    monkeypatch.setattr(asyncio, "sleep", note)
    for number in range(20):
        writer.write(b"a")
        assert await reader.read(100) == b"a"
        assert len(slept) == 2 * (number + 1), "on the way there and on the way back"
    assert all(0 <= seconds <= 10 for seconds in slept)
    assert len(set(slept)) > 20
    writer.transport.abort()


async def test_it_knows_how_many_connections_are_open(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.read(100) == b"a"
    assert proxy.current == 1
    writer.transport.abort()
    await until(lambda: not proxy.current)
    assert proxy.connections == 1


async def test_reset_cuts_the_connections(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.read(100) == b"a"
    proxy.reset()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.transport.abort()


async def test_it_can_be_healed_of_everything(proxy: FaultProxy) -> None:
    proxy.silent = proxy.refusing = proxy.single_bytes = True
    proxy.delay = 10.0
    proxy.drop_reply()
    proxy.cut_reply(0)
    proxy.hold_replies()
    proxy.heal()
    assert await ask(proxy, b"a", b"b") == b"ab."


async def test_nobody_behind_it() -> None:
    async with FaultProxy("127.0.0.1", free_port()) as proxy:
        assert await ask(proxy) == b""
