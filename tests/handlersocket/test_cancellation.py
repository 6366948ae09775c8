"""Ten thousand cancelled requests, and nobody gets what was another's: row P1 of the requirements.

The same is done to a naive client, which gives people other people's rows: so the test would notice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from starlette_sessions_ext.handlersocket import Index, Pool, Row, Where
from starlette_sessions_ext.testing import FaultProxy

from ..support.mariadb_server import MariaDBServer
from .naive import NaivePool

pytestmark = pytest.mark.anyio

INDEX = Index(0, "other", "people", "PRIMARY", ("id", "name"))  # no echo: only the order of answers protects here
USERS = [f"user{number}" for number in range(50)]
LEAVERS, STAYERS = 100, 10  # at once

Find = Callable[[str], Awaitable[list[Row]]]


@dataclass
class Seen:
    cancelled: int = 0
    read: int = 0
    foreign: int = 0

    async def look(self, find: Find) -> None:
        """As a user who is not cancelled."""
        user = random.choice(USERS)
        rows = await find(user)
        self.read += 1
        self.foreign += rows != [(user.encode(), f"secret of {user}".encode())]

    async def leave(self, find: Find) -> None:
        """As a user who is, after 0 to 30 turns of the event loop."""
        task = asyncio.ensure_future(self.look(find))
        for _ in range(random.randint(0, 30)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        self.cancelled += task.cancelled()


async def cancel_at_random(find: Find, cancels: int) -> Seen:
    """Users who leave and users who stay, all at once, until this many have been cancelled."""
    seen = Seen()

    async def go_on(use: Callable[[Find], Awaitable[None]]) -> None:
        while seen.cancelled < cancels:
            await use(find)

    await asyncio.gather(*(go_on(use) for use in [seen.leave] * LEAVERS + [seen.look] * STAYERS))
    return seen


@pytest.fixture
async def proxy(server: MariaDBServer) -> AsyncIterator[FaultProxy]:
    rows = ", ".join(f"('{user}', 'secret of {user}', 0)" for user in USERS)
    server.run(f"INSERT INTO people (id, name, amount) VALUES {rows}", "other")
    async with FaultProxy("127.0.0.1", server.hs_port) as proxy:
        proxy.delay = 0.002
        yield proxy


async def test_P1_ten_thousand_cancels_and_no_foreign_bytes(server: MariaDBServer, proxy: FaultProxy) -> None:
    pool = Pool("127.0.0.1", proxy.port, secret=server.hs_secret, indexes=[INDEX], size=2, timeout=20)

    async def find(user: str) -> list[Row]:
        client = await pool.client()
        return await client.find(INDEX, Where("=", (user,)))

    seen = await cancel_at_random(find, 10_000)
    assert seen.cancelled >= 10_000
    assert seen.read > 1000
    assert seen.foreign == 0
    assert len(pool.clients) == proxy.connections == 2
    await pool.aclose()


async def test_P1_would_catch_a_naive_client(server: MariaDBServer, proxy: FaultProxy) -> None:
    pool = await NaivePool.connect(proxy.port, server.hs_secret, INDEX, size=2)

    async def find(user: str) -> list[Row]:
        return await pool.find(INDEX, Where("=", (user,)))

    seen = await cancel_at_random(find, 500)
    assert seen.foreign > 0
    pool.close()
