"""One client for each event loop, whatever becomes of the loops."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from starlette_sessions_ext.stores._support.loop_local import LoopLocal, _after_fork, close_without_loop

LOOPS: list[Any] = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]
NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Client:
    """Knows its loop, and what became of it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.end = ""

    async def close(self) -> None:
        assert self.loop is asyncio.get_running_loop()
        await asyncio.sleep(0)
        self.end = "closed"

    def abandon(self) -> None:
        self.end = "abandoned"


@pytest.fixture
def clients() -> LoopLocal[Client]:
    return LoopLocal(Client, close=Client.close, abandon=Client.abandon)


def run(new_loop: NewLoop, main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_client_is_closed_with_its_loop(clients: LoopLocal[Client], new_loop: NewLoop) -> None:
    async def use() -> Client:
        assert clients.peek() is None
        client = clients.get()
        await asyncio.sleep(0)
        assert clients.get() is client
        assert clients.peek() is client
        return client

    first, second = run(new_loop, use()), run(new_loop, use())
    assert first is not second
    assert (first.end, second.end) == ("closed", "closed")


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_client_whose_loop_was_closed_by_hand_is_abandoned(clients: LoopLocal[Client], new_loop: NewLoop) -> None:
    async def use() -> Client:
        return clients.get()

    def by_hand() -> Client:
        loop = new_loop()
        client = loop.run_until_complete(use())
        loop.close()
        return client

    first = by_hand()
    assert first.end == ""
    second = by_hand()
    assert first.end == "abandoned"
    run(new_loop, clients.aclose())
    assert second.end == "abandoned"


def test_aclose_closes_the_running_loops_client_alone(clients: LoopLocal[Client]) -> None:
    async def use() -> Client:
        return clients.get()

    async def use_and_close() -> None:
        client = clients.get()
        await clients.aclose()
        assert client.end == "closed"
        await clients.aclose()
        another = clients.get()
        assert another is not client
        assert another.end == ""

    with asyncio.Runner() as other:
        theirs = other.run(use())
        asyncio_run_in_thread(use_and_close())
        assert theirs.end == ""
        assert other.run(use()) is theirs
    assert theirs.end == "closed"


def test_loops_that_live_at_once_have_a_client_each(clients: LoopLocal[Client]) -> None:
    count, rounds = 8, 200
    together = threading.Barrier(count)
    seen: list[Client] = []

    async def use() -> None:
        together.wait()
        mine = clients.get()
        for _ in range(rounds):
            await asyncio.sleep(0)
            assert clients.get() is mine
            assert mine.loop is asyncio.get_running_loop()
        seen.append(mine)

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == count
    assert {client.end for client in seen} == {"closed"}


def test_the_clients_of_a_store_that_is_dropped_are_closed() -> None:
    async def use() -> Client:
        clients = LoopLocal(Client, close=Client.close, abandon=Client.abandon)
        client = clients.get()
        del clients
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        return client

    assert asyncio.run(use()).end == "closed"


def test_a_forked_child_abandons_its_parents_clients(clients: LoopLocal[Client]) -> None:
    async def use() -> Client:
        return clients.get()

    with asyncio.Runner() as runner:
        theirs = runner.run(use())
        child = os.fork()
        if not child:
            with suppress(BaseException):
                mine = asyncio_run_in_thread(use())
                os._exit(0 if (theirs.end, mine is theirs, mine.end) == ("abandoned", False, "closed") else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert theirs.end == ""
        assert runner.run(use()) is theirs


def test_what_a_child_does_first(clients: LoopLocal[Client]) -> None:
    """In this process, where coverage can see it."""

    async def use() -> tuple[Client, Client]:
        first = clients.get()
        _after_fork()
        return first, clients.get()

    first, second = asyncio.run(use())
    assert first.end == "closed", "abandoned, and closed with this loop, which a child doesn't have"
    assert second.end == "closed"


# Sockets


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.filterwarnings("ignore:unclosed resource <TCPTransport")  # uvloop's, as it closes it
@pytest.mark.filterwarnings("ignore:unclosed transport <uvloop")  # about which nothing can be done from outside
def test_the_socket_of_a_closed_loop_is_closed(
    listener: socket.socket, new_loop: NewLoop, tls: bool, tmp_path: Path
) -> None:
    """Without a word from the garbage collector, which warns of what wasn't closed."""
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*make.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True
    )
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem")) if tls else None
    peers: list[socket.socket] = []

    def accept() -> None:
        peer, _ = listener.accept()
        peer.settimeout(10)
        if tls:
            server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
            peer = server.wrap_socket(peer, server_side=True)
        peers.append(peer)

    async def connect() -> asyncio.Transport:
        host, port = listener.getsockname()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, port, ssl=context)
        return transport

    accepting = threading.Thread(target=accept)
    accepting.start()
    loop = new_loop()
    transport = loop.run_until_complete(connect())
    accepting.join()
    loop.close()
    close_without_loop(transport)
    close_without_loop(transport)
    with peers[0] as peer:
        with suppress(ssl.SSLEOFError):
            assert peer.recv(1) == b""
    del transport
    gc.collect()


def test_there_may_be_no_transport_yet() -> None:
    close_without_loop(None)


def asyncio_run_in_thread(main: Coroutine[Any, Any, Any]) -> Any:
    """Run in another loop while the one of this thread lives."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(main)))
    thread.start()
    thread.join()
    return results[0]
