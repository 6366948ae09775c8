"""More requests than connections, on a slow way to the server, and thousands that are cancelled: row F5."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import DatabaseStore, MongoStore, PostgreSQLStore, RedisStore, SessionStore, StoreTimeout
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FaultProxy
from starlette_sessions_ext.testing._ticks import counting_ticks

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import MongoServer
from ..support.postgresql_server import PostgreSQLServer
from ..support.redis_server import RedisServer
from .handlersocket.stores import make_store

pytestmark = pytest.mark.anyio

SIZE = 3
CROWD = 10 * SIZE
CANCELS = 10_000
HASTY, PATIENT = 2.0, 60.0
"""Seconds for an operation: where no answer comes, and where as many as want may be ahead."""


class Backend(NamedTuple):
    """A running server's port, how to open a store at another one, and how many connections it may make."""

    port: int
    store: Callable[[int, float], SessionStore]
    most: int


@pytest.fixture(params=["redis", "mysql", "postgresql", "mongo", "handlersocket"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        url = "redis://127.0.0.1:{}/0"
        return Backend(
            redis.port, lambda port, timeout: RedisStore(url.format(port), pool_size=SIZE, timeout=timeout), SIZE
        )
    if request.param == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo_server")
        url = f"mongodb://127.0.0.1:{{}}/?maxPoolSize={SIZE}&directConnection=true&serverMonitoringMode=poll"
        return Backend(
            mongo.port, lambda port, timeout: MongoStore(url.format(port), timeout=timeout), SIZE + 2
        )  # to watch it
    if request.param == "postgresql":
        postgresql: PostgreSQLServer = request.getfixturevalue("postgresql")
        return Backend(
            postgresql.port,
            lambda port, timeout: PostgreSQLStore(postgresql.url(port=port), pool_size=SIZE, timeout=timeout),
            SIZE,
        )
    mariadb: MariaDBServer = request.getfixturevalue("mariadb")
    if request.param == "mysql":
        return Backend(
            mariadb.port,
            lambda port, timeout: DatabaseStore(mariadb.url("fresh", port), pool_size=SIZE, timeout=timeout),
            SIZE,
        )
    ports: dict[str, Any] = {"secret": mariadb.hs_secret_wr, "pool_size": SIZE}
    return Backend(
        mariadb.hs_port_wr,
        lambda port, timeout: make_store(mariadb, port=port, port_wr=port, timeout=timeout, **ports),
        2 * SIZE,
    )


@pytest.fixture
async def proxy(backend: Backend) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", backend.port) as proxy:
        yield proxy


async def read_all(store: SessionStore, keys: list[str]) -> None:
    async def read(key: str) -> None:
        row = await store.load(key)
        assert row is not None
        assert row.data == key.encode()

    async with anyio.create_task_group() as group:
        for key in keys:
            group.start_soon(read, key)


@pytest.mark.timeout(300)
async def test_F5_who_finds_no_connection_waits_and_who_is_cancelled_takes_none_along(
    backend: Backend, proxy: FaultProxy, soon: int
) -> None:
    keys = [key_of(new_id()) for _ in range(CROWD)]
    async with backend.store(proxy.port, PATIENT) as store:
        for key in keys:
            await store.create(key, key.encode(), soon)
        proxy.delay = 0.01
        await read_all(store, keys)
        assert proxy.current <= backend.most
        proxy.delay = 0.001
        for _ in range(CANCELS // CROWD + 1):
            async with anyio.create_task_group() as group:
                for key in keys:
                    group.start_soon(store.load, key)
                for _ in range(random.randrange(20)):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        for _ in range(3):
            await read_all(store, keys)
        with anyio.fail_after(60):
            while proxy.current > backend.most:  # connections that were closed, and the proxy hasn't noticed yet
                await anyio.sleep(0.01)


async def test_F5_a_wait_for_a_connection_ends_at_the_deadline(backend: Backend, proxy: FaultProxy, soon: int) -> None:
    key = key_of(new_id())
    timeouts = 0
    async with backend.store(proxy.port, HASTY) as store:
        await store.create(key, b"data", soon)
        proxy.silent = True

        async def load() -> None:
            nonlocal timeouts
            with pytest.raises(StoreTimeout):
                await store.load(key)
            timeouts += 1

        async with counting_ticks(HASTY / 20) as ticks:
            async with anyio.create_task_group() as group:
                for _ in range(CROWD):
                    group.start_soon(load)
        assert timeouts == CROWD
        assert ticks.count < 35, "the waits of all end at the same deadline, one behind another or not"
        proxy.silent = False
        proxy.reset()
        assert await store.load(key) is not None
