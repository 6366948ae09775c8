"""What was acknowledged is there after the server was killed in the middle of writes (kill -9)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import anyio
import pytest

from starlette_sessions_ext import SessionStore, StoreUnavailable, store_from_url
from starlette_sessions_ext._core.ids import key_of, new_id

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import running_mongo
from ..support.postgresql_server import PostgreSQLServer
from ..support.redis_server import RedisServer
from ..support.servers import Server, running

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WRITERS = 8
ENOUGH = 400
"""Acknowledged sessions, before the server is killed."""


class Killable(NamedTuple):
    server: Server
    store: SessionStore


@pytest.fixture(params=["redis", "mysql", "postgresql", "handlersocket", "mongo"])
def killable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    if request.param == "redis":
        durable = ("--appendonly", "yes", "--appendfsync", "always")
        with running(RedisServer(tmp_path_factory.mktemp("redis"), *durable)) as [redis]:
            yield Killable(redis, store_from_url(redis.url))
    elif request.param == "mongo":
        with running_mongo(tmp_path_factory.mktemp("mongo")) as mongo:
            yield Killable(mongo, store_from_url(mongo.url))
    elif request.param == "postgresql":
        postgresql: PostgreSQLServer = request.getfixturevalue("postgresql")
        yield Killable(postgresql, store_from_url(postgresql.url()))
    else:
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        url = mariadb.url("fresh") if request.param == "mysql" else mariadb.handlersocket_url("fresh")
        yield Killable(mariadb, store_from_url(url))


@pytest.mark.timeout(300)
async def test_F3_what_was_acknowledged_survives_kill_9(killable: Killable, soon: int) -> None:
    server, store = killable
    acknowledged: dict[str, bytes | None] = {}
    sent: dict[str, bytes | None] = {}
    restarted = False

    async def write(name: int) -> None:
        """Until a write fails, or, where the server was gone between two writes, to the end."""
        with suppress(StoreUnavailable):
            for number in range(1_000_000):
                if restarted:
                    break
                key, data = key_of(new_id()), b"%d %d" % (name, number)
                for step in (data, data + b"+", None)[: 2 + number % 2]:
                    sent[key] = step
                    row = await store.load(key)
                    if row is None:
                        assert step is not None
                        assert await store.create(key, step, soon)
                    elif step is None:
                        assert await store.delete(key)
                    else:
                        assert await store.replace(key, step, soon, row.version)
                    acknowledged[key] = step

    async with store:
        async with anyio.create_task_group() as group:
            for name in range(WRITERS):
                group.start_soon(write, name)
            with anyio.fail_after(150):
                while len(acknowledged) < ENOUGH:
                    await anyio.sleep(0.01)
            server.stop()
            server.start()  # on this thread: with the one that started it a server ends
            restarted = True
        assert None in acknowledged.values()
        for key, data in acknowledged.items():
            row = await store.load(key)
            assert (row and row.data) in (data, sent[key])
