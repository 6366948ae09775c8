"""RedisStore in several event loops: in turn, at once in threads, in a forked child, and on trio."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import uvloop
from redis import Redis as SyncRedis
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from starlette_sessions_ext import ConfigurationError, RedisStore, SessionMiddleware, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores._support.loop_local import close_without_loop

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_programs import redis_server as redis_server
from ...support.redis_server import RedisServer
from ...support.servers import free_port, wait_until

NewLoop = Callable[[], asyncio.AbstractEventLoop]
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])

LATER = 4_000_000_000


@pytest.fixture
def control(redis_server: RedisServer) -> Iterator[SyncRedis]:
    with SyncRedis.from_url(redis_server.url) as control:
        control.flushdb()
        yield control


def run(new_loop: NewLoop, main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def others(control: SyncRedis) -> int:
    """How many connections the server has, apart from this one."""
    return len(control.client_list()) - 1


async def use(store: RedisStore, key: str) -> None:
    """All operations, and several at once."""
    await store.create(key, b"data", LATER)
    rows, touched = await asyncio.gather(asyncio.gather(*(store.load(key) for _ in range(3))), store.touch(key, LATER))
    assert touched
    row = rows[0]
    assert row is not None
    assert await store.replace(key, b"new", LATER, row.version)
    assert await store.delete(key, b"new")


@LOOPS
def test_loops_in_turn_leave_no_connections(redis_server: RedisServer, control: SyncRedis, new_loop: NewLoop) -> None:
    store = RedisStore(redis_server.url)
    for _ in range(60):
        run(new_loop, use(store, key_of(new_id())))
    wait_until(lambda: others(control) == 0)


def test_loops_closed_by_hand_leave_no_connections(redis_server: RedisServer, control: SyncRedis) -> None:
    """As where a loop is closed without the end of `asyncio.run`: all but the last are noticed."""
    store = RedisStore(redis_server.url)

    async def use_and_lose() -> None:
        await use(store, key_of(new_id()))
        pool: Any = store._clients.here().client
        await pool.connection_pool._available_connections[0].disconnect()  # as after an error

    for _ in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use_and_lose())
        loop.close()
        wait_until(lambda: others(control) <= 2)  # it loads and touches at once
    asyncio.run(store.aclose())
    wait_until(lambda: others(control) == 0)


@LOOPS
def test_closing_in_another_loop_is_no_error(redis_server: RedisServer, control: SyncRedis, new_loop: NewLoop) -> None:
    store = RedisStore(redis_server.url)
    run(new_loop, store.open())
    run(new_loop, store.aclose())
    wait_until(lambda: others(control) == 0)


@LOOPS
def test_loops_in_threads_have_each_their_own_client(
    redis_server: RedisServer, control: SyncRedis, new_loop: NewLoop
) -> None:
    store = RedisStore(redis_server.url)
    failures: list[BaseException] = []

    async def crowd() -> None:
        for _ in range(20):
            await asyncio.gather(*(use(store, key_of(new_id())) for _ in range(10)))

    def work() -> None:
        try:
            run(new_loop, crowd())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    wait_until(lambda: others(control) == 0)


@pytest.mark.anyio
async def test_a_forked_child_leaves_its_parents_connections_alone(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    key = key_of(new_id())
    await store.create(key, b"data", LATER)
    if (child := os.fork()) == 0:  # pragma: no cover - in the child
        status = 1
        try:
            asyncio.events._set_running_loop(None)
            asyncio.run(use(store, key_of(new_id())))
            status = 0
        finally:
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0
    row = await store.load(key)
    assert row is not None
    await store.aclose()


# A client that was given


def application(store: RedisStore, client: Redis | None = None) -> Starlette:
    async def count(request: Request) -> PlainTextResponse:
        session = request.state.session
        session["count"] = session.get("count", 0) + 1
        return PlainTextResponse(str(session["count"]))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        yield
        if client is not None:
            await client.aclose()

    middleware = Middleware(SessionMiddleware, "s" * 32, store=store, https_only=False)
    return Starlette(routes=[Route("/", count)], middleware=[middleware], lifespan=lifespan)


def test_a_given_client_in_another_loop_is_explained_every_time(redis_server: RedisServer) -> None:
    given = Redis.from_url(redis_server.url)
    browser = TestClient(application(RedisStore(given)))  # each request has its own loop
    assert browser.get("/").text == "1"
    for _ in range(3):
        with pytest.raises(ConfigurationError, match=r"another event loop.*URL.*with TestClient\(app\) as"):
            browser.get("/")
    pool: Any = given.connection_pool
    for connection in pool._available_connections:  # nothing else can close them now
        close_without_loop(connection._writer.transport)
        connection._reader = connection._writer = None


def test_a_url_serves_a_test_client_without_with(redis_server: RedisServer, control: SyncRedis) -> None:
    client = TestClient(application(RedisStore(redis_server.url)))
    assert [client.get("/").text for _ in range(4)] == ["1", "2", "3", "4"]
    wait_until(lambda: others(control) == 0)


def test_a_given_client_that_was_closed_serves_the_next_loop(redis_server: RedisServer) -> None:
    """As where the application closes it in its lifespan, and several tests start the application."""
    client = Redis.from_url(redis_server.url)
    app = application(RedisStore(client), client)
    for _ in range(3):
        with TestClient(app) as browser:
            assert [browser.get("/").text for _ in range(2)] == ["1", "2"]


def test_a_given_cluster_that_was_closed_serves_the_next_loop(cluster: tuple[RedisServer, ...]) -> None:
    client = RedisCluster("127.0.0.1", cluster[0].port)
    store = RedisStore(client)

    async def visit() -> None:
        await store.open()  # as a lifespan does
        await use(store, key_of(new_id()))
        await client.aclose()

    for _ in range(3):
        asyncio.run(visit())


def test_two_loops_that_run_cant_share_a_given_client(redis_server: RedisServer) -> None:
    """Also before it has any connection."""
    store = RedisStore(Redis.from_url(f"redis://127.0.0.1:{free_port()}"))
    errors: list[BaseException] = []

    async def ask() -> None:
        with pytest.raises((StoreUnavailable, ConfigurationError)) as caught:
            await store.load(key_of(new_id()))
        errors.append(caught.value)

    async def main() -> None:
        await ask()
        await asyncio.to_thread(asyncio.run, ask())

    asyncio.run(main())
    assert [type(error) for error in errors] == [StoreUnavailable, ConfigurationError]


def test_what_a_closed_client_kept_of_its_loop_is_explained(redis_server: RedisServer) -> None:
    """A pool that had a queue remembers the loop, and says so where there is a queue again."""
    client = Redis.from_pool(BlockingConnectionPool.from_url(redis_server.url, max_connections=1))
    store = RedisStore(client)

    async def crowd() -> list[Any]:
        key = key_of(new_id())
        calls: list[Awaitable[Any]] = [store.load(key), store.create(key, b"data", LATER)]
        outcomes = await asyncio.gather(*calls, store.touch(key_of(new_id()), LATER), return_exceptions=True)
        await client.aclose()
        return outcomes

    assert asyncio.run(crowd()) == [None, True, False]
    errors = [str(outcome) for outcome in asyncio.run(crowd()) if isinstance(outcome, StoreUnavailable)]
    assert errors
    assert all("another event loop" in error for error in errors)


@pytest.mark.parametrize("given", [False, True], ids=["url", "client"])
@pytest.mark.parametrize("call", ["open", "diagnose", "load", "create", "touch", "delete", "aclose"])
def test_trio_is_refused_with_what_to_use(redis_server: RedisServer, call: str, given: bool) -> None:
    store = RedisStore(Redis.from_url(redis_server.url) if given else redis_server.url)
    key = key_of(new_id())
    several: dict[str, tuple[Any, ...]] = {
        "load": (key,),
        "create": (key, b"data", LATER),
        "touch": (key, LATER),
        "delete": (key,),
    }
    arguments = several.get(call, ())
    with pytest.raises(ConfigurationError, match=r"runs on asyncio.*SQLiteStore"):
        trio.run(getattr(store, call), *arguments)
