"""The proxy of the exported suites, against an echo server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from starlette_sessions_ext.testing import FaultProxy

from .servers import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def ask(proxy: FaultProxy, *questions: bytes) -> bytes:
    """Send the questions one by one; what is answered within a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    answer = b""
    try:
        for question in questions:
            writer.write(question)
            async with asyncio.timeout(0.2):
                answer += await reader.read(100)
    except (TimeoutError, ConnectionError):
        pass
    writer.transport.abort()
    return answer


async def test_it_passes_on(proxy: FaultProxy) -> None:
    assert await ask(proxy, b"a", b"b") == b"ab"
    assert proxy.connections == 1


async def test_silent(proxy: FaultProxy) -> None:
    proxy.silent = True
    assert await ask(proxy, b"a") == b""


async def test_forgotten_connections_swallow_all_and_new_ones_are_served(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.read(100) == b"a"
    proxy.forget()
    writer.write(b"b")
    assert await ask(proxy, b"c") == b"c"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(100)
    writer.transport.abort()


async def test_refusing(proxy: FaultProxy) -> None:
    proxy.refusing = True
    assert await ask(proxy, b"a") == b""


async def test_a_dropped_reply_never_comes(proxy: FaultProxy) -> None:
    proxy.drop_reply()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(100)
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
    assert await ask(proxy, b"e") == b"e", "the next connection is whole"


async def test_single_bytes(proxy: FaultProxy) -> None:
    proxy.single_bytes = True
    pieces: list[bytes] = []

    class Client(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            pieces.append(data)

    transport, _ = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", proxy.port)
    transport.write(b"abcdefgh")
    async with asyncio.timeout(10):
        while len(b"".join(pieces)) < 8:
            await asyncio.sleep(0)
    assert b"".join(pieces) == b"abcdefgh"
    assert len(pieces) > 1, "not all at once"
    transport.close()


async def test_held_replies_come_late(proxy: FaultProxy) -> None:
    proxy.hold_replies()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(100)
    proxy.release()
    assert await reader.read(100) == b"a"
    writer.transport.abort()


async def test_bytes_are_late_either_way(proxy: FaultProxy) -> None:
    """By 20 ms at most, so that forty times make 400 ms, more or less."""
    proxy.delay = 0.02
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    start = loop.time()
    for _ in range(20):
        writer.write(b"a")
        assert await reader.read(100) == b"a"
    assert loop.time() - start > 0.1
    writer.transport.abort()


async def test_it_knows_how_many_connections_are_open(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.read(100) == b"a"
    assert proxy.current == 1
    writer.transport.abort()
    async with asyncio.timeout(10):
        while proxy.current:
            await asyncio.sleep(0)
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
    assert await ask(proxy, b"a", b"b") == b"ab"


async def test_nobody_behind_it() -> None:
    async with FaultProxy("127.0.0.1", free_port()) as proxy:
        assert await ask(proxy, b"a") == b""
