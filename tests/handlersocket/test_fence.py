"""One answer is taken out of the stream, over and over, and nobody takes another's for theirs.

The same is done to a client without fences, which says that rows are there that aren't, and that
rows aren't there that are: so the test would notice.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from asyncio import StreamWriter
from dataclasses import dataclass, field

import pytest

from starlette_sessions_ext.handlersocket import HandlerSocketError, Pool, ServerError, Where, pipeline
from starlette_sessions_ext.testing import FaultProxy

from ..support.mariadb_server import MariaDBServer
from .conftest import NAMES
from .trusting import TrustingConnection

pytestmark = pytest.mark.anyio

USERS = 30  # at once


class SwallowingProxy(FaultProxy):
    """Takes one line out of every fifth piece that has several."""

    swallowed = 0

    async def _give(self, writer: StreamWriter, data: bytes) -> None:
        lines = data.split(b"\n")
        if len(lines) > 5 and random.random() < 0.2:
            del lines[random.randrange(len(lines) - 1)]
            self.swallowed += 1
        await super()._give(writer, b"\n".join(lines))


@dataclass
class Users:
    """Who insert rows and look for them, and never for the same as another."""

    pool: Pool
    names: itertools.count[int] = field(default_factory=itertools.count)
    inserted: list[bytes] = field(default_factory=list)
    answers: int = 0
    errors: int = 0
    wrong: int = 0

    async def use(self) -> None:
        """Insert one row and look for it, insert it again, and look for one that isn't there."""
        name = b"%d" % next(self.names)
        try:
            await (await self.pool.client()).insert(NAMES, (name, name))
            self.inserted.append(name)
            self.expect(await (await self.pool.client()).find(NAMES, Where("=", (name,))) == [(name, name)])
            self.expect(await self.is_duplicate(name))
            self.expect(await (await self.pool.client()).find(NAMES, Where("=", (b"no" + name,))) == [])
        except HandlerSocketError:
            self.errors += 1

    async def is_duplicate(self, name: bytes) -> bool:
        try:
            await (await self.pool.client()).insert(NAMES, (name, name))
        except ServerError as error:
            return error.is_duplicate
        return False

    def expect(self, right: bool) -> None:
        self.answers += 1
        self.wrong += not right


async def swallow(server: MariaDBServer, times: int) -> Users:
    """Count how users fare until this many answers have been swallowed."""
    async with SwallowingProxy("127.0.0.1", server.hs_port_wr) as proxy:
        secret = server.hs_secret_wr
        users = Users(Pool("127.0.0.1", proxy.port, secret=secret, indexes=[NAMES], size=2, timeout=0.5))

        async def go_on() -> None:
            while proxy.swallowed < times:
                await users.use()

        await asyncio.gather(*(go_on() for _ in range(USERS)))
        await users.pool.aclose()
    there = set(server.run("SELECT id FROM people", "other").split())
    users.wrong += sum(name.decode() not in there for name in users.inserted)
    return users


async def test_P2_an_answer_that_is_missing_is_nobody_elses(server: MariaDBServer) -> None:
    users = await swallow(server, 100)
    assert users.answers > 500
    assert users.errors > 0
    assert users.wrong == 0


async def test_P2_would_catch_a_client_without_fences(server: MariaDBServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "Connection", TrustingConnection)
    users = await swallow(server, 50)
    assert users.wrong > 0
