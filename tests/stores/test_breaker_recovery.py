"""A store that is away for a while, with many clients, or refuses to write, and its return: rows F4 and F7."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import DatabaseStore, MongoStore, PostgreSQLStore, RedisStore, SessionStore
from starlette_sessions_ext._core.circuit_breaker import FAILURES, PAUSE, Guard
from starlette_sessions_ext.testing import FakeClock, FaultProxy

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.client import Browser, make_app
from ..support.handlers import put, view
from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import MongoServer
from ..support.postgresql_server import PostgreSQLServer
from ..support.redis_server import RedisServer
from ..support.servers import free_port
from ..support.store_wrappers import CountingStore
from .handlersocket.stores import make_store

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CLIENTS = 20
TIMEOUT = 2.0
HANG = 60.0
"""Seconds after which nothing will come any more."""


class Backend(NamedTuple):
    """The port of a running server, and how to open a store that finds it at another one."""

    port: int
    store: Callable[[int], SessionStore]


@pytest.fixture(params=["redis", "mysql", "postgresql", "handlersocket", "mongo"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        return Backend(redis.port, lambda port: RedisStore(f"redis://127.0.0.1:{port}/0", timeout=TIMEOUT))
    if request.param == "mysql":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        return Backend(mariadb.port, lambda port: DatabaseStore(mariadb.url("fresh", port), timeout=TIMEOUT))
    if request.param == "postgresql":
        postgresql: PostgreSQLServer = request.getfixturevalue("postgresql")
        return Backend(postgresql.port, lambda port: PostgreSQLStore(postgresql.url(port=port), timeout=TIMEOUT))
    if request.param == "handlersocket":
        server: MariaDBServer = request.getfixturevalue("mariadb")
        settings: dict[str, Any] = {"secret": server.hs_secret_wr, "timeout": TIMEOUT}  # this port finds as well
        return Backend(server.hs_port_wr, lambda port: make_store(server, port=port, port_wr=port, **settings))
    mongo: MongoServer = request.getfixturevalue("mongo_server")
    url = mongo.url
    return Backend(mongo.port, lambda port: MongoStore(url.replace(str(mongo.port), str(port)), timeout=TIMEOUT))


async def ask_all(browsers: list[Browser]) -> Counter[int]:
    """How many answers of each status there are when all ask at once."""
    seen: Counter[int] = Counter()

    async def ask(browser: Browser) -> None:
        seen[(await browser.get("/")).status] += 1

    async with anyio.create_task_group() as group:
        for browser in browsers:
            group.start_soon(ask, browser)
    return seen


@pytest.fixture
def breakers(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of all circuit breakers that are made in a test."""
    clock = FakeClock()
    monkeypatch.setattr(Guard.__init__, "__defaults__", (clock,))
    return clock


@pytest.mark.timeout(180)
async def test_F7_a_dead_store_holds_few_and_serves_all_when_it_is_back(backend: Backend, breakers: FakeClock) -> None:
    async with FaultProxy("127.0.0.1", backend.port) as proxy, backend.store(proxy.port) as inner:
        store = CountingStore(inner)
        app = make_app(store, {"/": view, "/put": put})
        browsers = [Browser(app) for _ in range(CLIENTS)]
        for browser in browsers:
            await browser.get("/put?name=ann")
        assert await ask_all(browsers) == {200: CLIENTS}
        store.calls.clear()
        before = proxy.connections
        proxy.silent = True
        assert await ask_all(browsers) == {503: CLIENTS}
        assert len(store.calls) <= CLIENTS, "all at once first"
        for probe in range(2):
            calls = len(store.calls)
            for _ in range(10):
                assert await ask_all(browsers) == {503: CLIENTS}
            assert len(store.calls) == calls, "refused without a call, so nothing holds them"
            breakers.advance(1.25 * PAUSE)
            assert await ask_all(browsers) == {503: CLIENTS}
            assert len(store.calls) == calls + 1, f"probe {probe} is one request's"
        assert proxy.connections - before <= 2 * len(store.calls)
        proxy.silent = False
        proxy.reset()
        with anyio.fail_after(HANG):
            for browser in itertools.cycle(browsers):
                breakers.advance(1.25 * PAUSE)
                if (await browser.get("/")).status == 200:
                    break
                await anyio.sleep(0.01)
        assert await ask_all(browsers) == {200: CLIENTS}


@pytest.mark.timeout(180)
async def test_F4_a_server_that_refuses_writes_serves_readers_and_writes_again_by_itself(
    redis_server: RedisServer, breakers: FakeClock
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
        breakers.advance(1.25 * PAUSE)
        assert (await browser.get("/put?a=1")).status == 200
        assert (await browser.get("/")).json() == {"name": "ann", "a": "1"}
