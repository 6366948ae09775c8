"""One store in several event loops: one after another, at the same time in threads, and in a forked child."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient

from starlette_sessions_ext import MongoStore, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores._support.loop_local import close_without_loop

from ...support.mongo_server import MongoServer, leave_sockets_to_collector, running_mongo
from ...support.servers import wait_until
from .clients import DRIVERS, load
from .tls import running_tls

NEW_LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
NewLoop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[MongoServer]:
    """A server that nothing else is connected to."""
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        leave_sockets_to_collector(pytestconfig, server)
        yield server


def test_the_collector_may_close_a_socket_to_it(server: MongoServer) -> None:
    socket.create_connection(("127.0.0.1", server.port))
    gc.collect()


@pytest.fixture
def connections(server: MongoServer) -> Iterator[Callable[[], int]]:
    """How many connections the server has, but for those of the test's own client."""
    with MongoClient[Any](server.url, appname="test") as client:

        def count() -> int:
            everything = client.admin.aggregate([{"$currentOp": {"allUsers": True, "idleConnections": True}}])
            return sum("client" in one and one.get("appName") != "test" for one in everything)

        wait_until(lambda: count() == 0)
        yield count


def run(new_loop: NewLoop, main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


async def use(store: MongoStore, key: str, soon: int) -> None:
    await store.create(key, b"data", soon)
    assert (await load(store, key)).data == b"data"


@NEW_LOOPS
def test_sixty_event_loops_leave_no_connections(
    server: MongoServer, connections: Callable[[], int], key: str, soon: int, new_loop: NewLoop
) -> None:
    store = MongoStore(server.url)
    for _ in range(60):
        run(new_loop, use(store, key, soon))
    wait_until(lambda: connections() == 0)


def test_a_client_whose_loop_was_closed_by_hand_is_closed_by_the_next_use(
    server: MongoServer, connections: Callable[[], int], key: str, soon: int
) -> None:
    """Not so with uvloop, which closes the sockets of a loop with it."""
    store = MongoStore(server.url)
    first = asyncio.new_event_loop()
    first.run_until_complete(use(store, key, soon))
    for task in asyncio.all_tasks(first):
        task.cancel()
        first.run_until_complete(asyncio.wait([task]))
    first.close()

    async def use_and_close() -> None:
        await use(store, key, soon)
        await store.aclose()

    asyncio.run(use_and_close())
    wait_until(lambda: connections() == 0)


def test_sockets_under_tls_are_closed_too_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, key: str, soon: int
) -> None:
    with running_tls(tmp_path_factory.mktemp("tls"), "--tlsAllowConnectionsWithoutCertificates") as server:
        store = MongoStore(server.url)
        first = asyncio.new_event_loop()

        async def use_and_connect() -> asyncio.StreamWriter:
            await use(store, key, soon)
            return (await asyncio.open_connection("127.0.0.1", server.port))[1]

        writer = first.run_until_complete(use_and_connect())
        ours = [transport for transport in first._transports.values() if transport is not writer.transport]  # type: ignore[attr-defined]
        for task in asyncio.all_tasks(first):
            task.cancel()
            first.run_until_complete(asyncio.wait([task]))
        first.close()
        asyncio.run(use(store, key, soon))
        assert ours
        assert all(transport._sock is None for transport in ours)
        assert writer.get_extra_info("socket").fileno() != -1
        close_without_loop(writer.transport)


def test_loops_in_threads_have_a_client_each(server: MongoServer, connections: Callable[[], int], soon: int) -> None:
    store = MongoStore(server.url, timeout=30)  # for they share one interpreter, and their machine
    threads, rounds = 8, 30
    together = threading.Barrier(threads)
    seen: list[int] = []

    async def work(number: int) -> None:
        together.wait()
        for _ in range(rounds):
            keys = [key_of(new_id()) for _ in range(5)]
            await asyncio.gather(*(store.create(key, b"by %d" % number, soon) for key in keys))
            found = await asyncio.gather(*(store.load(key) for key in keys))
            assert [row and row.data for row in found] == [b"by %d" % number] * 5
        seen.append(number)

    running = [threading.Thread(target=asyncio.run, args=(work(number),)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sorted(seen) == list(range(threads))
    wait_until(lambda: connections() == 0)


def test_aclose_ends_the_client_of_its_own_loop_alone(server: MongoServer, key: str, soon: int) -> None:
    store = MongoStore(server.url)
    with asyncio.Runner() as runner:
        runner.run(use(store, key, soon))
        thread = threading.Thread(target=asyncio.run, args=(store.aclose(),))
        thread.start()
        thread.join()
        runner.run(use(store, key, soon))


FORK = """
import asyncio, os, sys, time
from starlette_sessions_ext import MongoStore
from starlette_sessions_ext._core.ids import key_of, new_id

store = MongoStore(sys.argv[1])
keys = [key_of(new_id()) for _ in range(2)]
soon = int(time.time()) + 3600

async def put(key):
    for _ in range(20):
        assert await store.create(key, key.encode(), soon)
        assert (await store.load(key)).data == key.encode()
        assert await store.delete(key)
    assert await store.create(key, key.encode(), soon)

with asyncio.Runner() as runner:
    runner.run(store.open())
    child = os.fork()
    if child == 0:
        try:
            with asyncio.Runner() as own:
                own.run(put(keys[0]))
        except BaseException as error:
            print(repr(error), flush=True)
        os._exit(0)
    runner.run(put(keys[1]))
    os.waitpid(child, 0)
    print([row and row.data.decode() for row in [runner.run(store.load(key)) for key in keys]] == keys)
"""


def test_a_forked_child_makes_a_client_of_its_own(server: MongoServer) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, server.url], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True\n", "")


# A client that was given


@DRIVERS
@NEW_LOOPS
def test_a_given_client_of_another_loop_is_refused_in_plain_words(
    server: MongoServer, key: str, soon: int, driver: Any, new_loop: NewLoop
) -> None:
    client = driver(server.url)
    store = MongoStore(client.session.session_data)

    async def refused() -> None:
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            store.open,
            lambda: store.load(key),
            lambda: store.create(key, b"data", soon),
            lambda: store.delete(key),
            store.diagnose,
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable, match="belongs to another event loop") as refusal:
                await call()
            assert "give MongoStore a URL" in str(refusal.value)

    async def close() -> None:
        await store.aclose()
        if driver is AsyncMongoClient:
            await client.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(use(store, key, soon))
        thread = threading.Thread(target=run, args=(new_loop, refused()))
        thread.start()
        thread.join()
        runner.run(use(store, key, soon))
        runner.run(close())
    run(new_loop, refused())
    if driver is AsyncIOMotorClient:
        client.close()


def test_a_given_client_whose_loop_was_closed_by_hand_is_left_to_its_owner(
    server: MongoServer, key: str, soon: int
) -> None:
    client: AsyncMongoClient[Any] = AsyncMongoClient(server.url)
    store = MongoStore(client.session.session_data)
    first = asyncio.new_event_loop()
    first.run_until_complete(use(store, key, soon))
    first.run_until_complete(client.close())  # as its owner has to
    first.close()

    async def refused() -> None:
        with pytest.raises(StoreUnavailable, match="belongs to another event loop"):
            await store.load(key)

    asyncio.run(refused())
