"""Writers that are killed (kill -9) between a session and the index of its owner leave the index exact."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from redis.asyncio import Redis, RedisCluster

from starlette_sessions_ext import RedisStore

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.redis_server import RedisServer
from ...support.servers import die_with_parent
from .writer import OWNERS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KILLS = 12


@pytest.fixture(params=["single", "cluster"])
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RedisServer, ...]]:
    if request.param == "single":
        yield (request.getfixturevalue("redis_server"),)
    else:
        yield request.getfixturevalue("cluster")


async def test_a_killed_writer_leaves_every_index_exact(servers: tuple[RedisServer, ...]) -> None:
    first, clustered = servers[0], len(servers) > 1
    controls = [Redis.from_url(server.url) for server in servers]
    client: Any = RedisCluster("127.0.0.1", first.port) if clustered else Redis.from_url(first.url)
    outlived = 0
    async with client, RedisStore(client) as store:
        for kill in range(KILLS):
            for control in controls:
                await control.flushall()
            others = await clients(controls)
            command = [sys.executable, "-m", "tests.stores.redis.writer", str(first.port)]
            writer = subprocess.Popen([*die_with_parent(), *command, *(["cluster"] if clustered else [])])
            try:
                while await rows(controls) < 40 + 7 * kill:
                    assert writer.poll() is None
                    await anyio.lowlevel.checkpoint()
            finally:
                writer.kill()
                writer.wait()
            while await clients(controls) > others:  # until the servers have done what they were sent
                await anyio.sleep(0.01)
            owner_by_key = {key: await store.owner_of(key) async for key in store.all_keys()}
            assert owner_by_key
            for owner in OWNERS:
                mine = sorted(key for key, its in owner_by_key.items() if its == owner)
                outlived += await listed(client, owner) > len(mine)
                assert sorted(await store.keys_of(owner)) == mine
                assert await store.delete_all_of(owner) == len(mine)
                assert await store.keys_of(owner) == []
    assert outlived, "no entry was without its row: nothing had to be verified"
    for control in controls:
        await control.aclose()


async def clients(controls: list[Redis]) -> int:
    return sum([len(await control.client_list()) for control in controls])


async def rows(controls: list[Redis]) -> int:
    return sum([int(await control.dbsize()) for control in controls])


async def listed(client: Any, owner: str) -> int:
    return int(await client.zcard(f"session:owner:{owner}"))
