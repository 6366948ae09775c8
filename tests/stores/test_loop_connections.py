"""The connections of stores that several event loops use: one after another, by hand, at once, and over a fork."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from starlette_sessions_ext import DatabaseStore, PostgreSQLStore, SessionStore
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FaultProxy

from ..support.mariadb_server import MariaDBServer
from ..support.postgresql_server import PostgreSQLServer
from ..support.servers import wait_until
from .handlersocket.stores import make_store

LOOPS = 60


class Network:
    """Proxies to a server's ports, in another thread."""

    def __init__(self, *ports: int) -> None:
        self._runner = asyncio.Runner()
        self._proxies = [FaultProxy("127.0.0.1", port) for port in ports]
        self._ready = threading.Event()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._runner.run(self._run()))
        self._thread.start()
        self._ready.wait()
        self.ports = [proxy.port for proxy in self._proxies]

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(proxy.current for proxy in self._proxies)

    async def _run(self) -> None:
        for proxy in self._proxies:
            await proxy.__aenter__()
        self._ready.set()
        await self._done.wait()
        for proxy in self._proxies:
            await proxy.__aexit__(None, None, None)

    def close(self) -> None:
        self._runner.get_loop().call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._runner.close()


class Backend(NamedTuple):
    """The ports of a running server, and how to open a store at others."""

    ports: tuple[int, ...]
    store: Callable[..., SessionStore]


@pytest.fixture(params=["mysql", "postgresql", "handlersocket"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "postgresql":
        postgresql: PostgreSQLServer = request.getfixturevalue("postgresql")
        return Backend((postgresql.port,), lambda port: PostgreSQLStore(postgresql.url(port=port), timeout=5))
    mariadb: MariaDBServer = request.getfixturevalue("mariadb")
    if request.param == "mysql":
        return Backend((mariadb.port,), lambda port: DatabaseStore(mariadb.url("fresh", port), timeout=5))
    return Backend(
        (mariadb.hs_port, mariadb.hs_port_wr),
        lambda port, port_wr: make_store(mariadb, port=port, port_wr=port_wr, timeout=5),
    )


@pytest.fixture
def network(backend: Backend) -> Iterator[Network]:
    network = Network(*backend.ports)
    yield network
    network.close()


@pytest.fixture
def store(network: Network, backend: Backend) -> SessionStore:
    return backend.store(*network.ports)


async def write_and_read(store: SessionStore, soon: int) -> None:
    key = key_of(new_id())
    assert await store.create(key, key.encode(), soon)
    row = await store.load(key)
    assert row is not None
    assert row.data == key.encode()
    assert await store.delete(key)


def run_by_hand(main: Coroutine[Any, Any, None]) -> None:
    """As scripts do: without the clean-up that asyncio.run does."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main)
    loop.close()


def test_a_loop_that_ends_leaves_no_connection(store: SessionStore, network: Network, soon: int) -> None:
    for _ in range(LOOPS):
        asyncio.run(write_and_read(store, soon))
    wait_until(lambda: network.connections == 0)


def test_a_loop_closed_by_hand_leaves_connections_until_the_next(
    store: SessionStore, network: Network, soon: int
) -> None:
    run_by_hand(write_and_read(store, soon))
    of_one_loop = network.connections
    for _ in range(LOOPS):
        run_by_hand(write_and_read(store, soon))
        wait_until(lambda: network.connections <= of_one_loop)
    asyncio.run(store.aclose())
    wait_until(lambda: network.connections == 0)


def test_loops_at_once_dont_meet(store: SessionStore, network: Network, soon: int) -> None:
    failures: list[BaseException] = []

    async def work() -> None:
        for _ in range(20):
            await asyncio.gather(*(write_and_read(store, soon) for _ in range(5)))

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    wait_until(lambda: network.connections == 0)


@pytest.mark.parametrize("run", [asyncio.run, run_by_hand])
def test_a_forked_child_makes_its_own(
    store: SessionStore, network: Network, soon: int, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """And the parent goes on with those that it had, which the child has closed on its side alone."""
    with asyncio.Runner() as parent:
        parent.run(write_and_read(store, soon))
        before = network.connections
        child = os.fork()
        if not child:
            with suppress(BaseException):
                run(write_and_read(store, soon))
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        wait_until(lambda: network.connections == before)
        parent.run(write_and_read(store, soon))
        assert network.connections == before
    wait_until(lambda: network.connections == 0)
