"""A store that is away for a while, with many clients, or refuses to write, and its return: rows F4 and F7."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import pytest
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.types import ASGIApp

from starlette_sessions_ext import DatabaseStore, MongoStore, RedisStore, SessionStore
from starlette_sessions_ext.breaker import FAILURES, PAUSE
from starlette_sessions_ext.testing import FaultProxy

from .asgi import Answer, Browser, make_app
from .mariadb_server import MariaDBServer
from .mongo_server import MongoServer
from .redis_server import RedisServer
from .servers import free_port
from .stores.handlersocket.stores import make_store
from .stores.instruments import CountingStore

pytestmark = pytest.mark.anyio

CLIENTS = 20
TIMEOUT = 1.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Backend(NamedTuple):
    """The port of a running server, and how to open a store that finds it at another one."""

    port: int
    store: Callable[[int], SessionStore]


@pytest.fixture(params=["redis", "mysql", "handlersocket", "mongo"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        return Backend(redis.port, lambda port: RedisStore(f"redis://127.0.0.1:{port}/0", timeout=TIMEOUT))
    if request.param == "mysql":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        return Backend(mariadb.port, lambda port: DatabaseStore(mariadb.url("fresh", port), timeout=TIMEOUT))
    if request.param == "handlersocket":
        server: MariaDBServer = request.getfixturevalue("mariadb")
        settings: dict[str, Any] = {"secret": server.hs_secret_wr, "timeout": TIMEOUT}  # this port finds as well
        return Backend(server.hs_port_wr, lambda port: make_store(server, port=port, port_wr=port, **settings))
    mongo: MongoServer = request.getfixturevalue("mongo_server")
    url = mongo.url
    return Backend(mongo.port, lambda port: MongoStore(url.replace(str(mongo.port), str(port)), timeout=TIMEOUT))


async def view(request: Request) -> Any:
    return dict(request.state.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.state.session.update(request.query_params)


class Crowd:
    """Browsers that ask again and again, each with a session. `seen` counts their answers by status."""

    def __init__(self, app: ASGIApp) -> None:
        self.seen: Counter[int] = Counter()
        self._browsers = [Browser(app) for _ in range(CLIENTS)]

    async def sign_in(self) -> None:
        for number, browser in enumerate(self._browsers):
            assert (await browser.get(f"/put?name={number}")).status == 200

    async def ask(self, until: Callable[[Answer], bool]) -> None:
        """Let all of them ask, each until it is given such an answer."""

        async def ask(browser: Browser) -> None:
            answer = None
            while answer is None or not until(answer):
                answer = await browser.get("/")
                self.seen[answer.status] += 1
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as group:
            for browser in self._browsers:
                group.start_soon(ask, browser)


async def test_F7_a_dead_store_holds_few_and_serves_all_when_it_is_back(backend: Backend) -> None:
    async with FaultProxy("127.0.0.1", backend.port) as proxy, backend.store(proxy.port) as inner:
        store = CountingStore(inner)
        crowd = Crowd(make_app(store, {"/": view, "/put": put}))
        await crowd.sign_in()
        await crowd.ask(lambda answer: answer.status == 200)
        store.calls.clear()
        crowd.seen.clear()
        before = proxy.connections
        proxy.silent = True
        start = time.monotonic()
        await crowd.ask(lambda answer: time.monotonic() - start > 4 * PAUSE)
        outage = time.monotonic() - start
        assert set(crowd.seen) == {503}
        assert len(store.calls) <= CLIENTS + outage / (0.75 * PAUSE) + 1, "all at once first, and then one by one"
        assert crowd.seen[503] > 10 * len(store.calls), "the others weren't held"
        assert proxy.connections - before <= 2 * len(store.calls)
        proxy.silent = False
        proxy.reset()
        with anyio.fail_after(10 * (PAUSE + TIMEOUT)):
            await crowd.ask(lambda answer: answer.status == 200)
        assert crowd.seen[200] == CLIENTS


async def test_F4_a_server_that_refuses_writes_serves_readers_and_writes_again_by_itself(
    redis_server: RedisServer,
) -> None:
    """A primary that has become a replica, as in a failover, answers READONLY to every writer."""
    async with RedisStore(redis_server.url) as store, Redis.from_url(redis_server.url) as control:
        browser = Browser(make_app(store, {"/": view, "/put": put}))
        await browser.get("/put?name=ann")
        await control.replicaof("127.0.0.1", free_port())
        try:
            for _ in range(2 * FAILURES):
                assert (await browser.get("/put?a=1")).status == 503
                assert (await browser.get("/")).json() == {"name": "ann"}
        finally:
            await control.replicaof("NO", "ONE")
        with anyio.fail_after(10 * PAUSE):
            while (await browser.get("/put?a=1")).status != 200:
                await anyio.sleep(0.01)
        assert (await browser.get("/")).json() == {"name": "ann", "a": "1"}
