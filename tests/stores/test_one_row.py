"""What is wrong with one session's row costs that session alone: the others are read and written."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Hashable

import anyio
import pytest
from redis.asyncio import Redis

from starlette_sessions_ext import (
    DatabaseStore,
    MemoryStore,
    PostgreSQLStore,
    RedisStore,
    SessionStore,
    Stored,
    StoreTimeout,
)
from starlette_sessions_ext._core.circuit_breaker import FAILURES
from starlette_sessions_ext._core.ids import key_of

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.client import Browser, make_app
from ..support.handlers import put, view
from ..support.mariadb_server import MariaDBServer
from ..support.postgresql_server import PostgreSQLServer
from ..support.redis_server import RedisServer
from ..support.store_wrappers import WrappedStore
from .mysql.control import connect, locked
from .postgresql import control as postgresql_control

pytestmark = pytest.mark.anyio

OTHERS = 4


HANDLERS = {"/": view, "/put": put}


class Crowd:
    """One browser whose session's row is at fault, and others, which have to be served."""

    def __init__(self, store: SessionStore) -> None:
        app = make_app(store, HANDLERS)
        self.one = Browser(app)
        self.others = [Browser(app) for _ in range(OTHERS)]

    async def sign_in(self) -> str:
        """Give each a session, and return the key of the one."""
        for browser in (self.one, *self.others):
            assert (await browser.get("/put?name=ann")).status == 200
        return key_of(self.one.cookies["session"][:32])

    async def ask_in_turn(self, path: str, rounds: int = 3) -> Counter[int]:
        """Let the one ask for `path` in several tabs, then the others. Count the answers to the one."""
        statuses: Counter[int] = Counter()

        async def ask(tab: Browser) -> None:
            statuses[(await tab.get(path)).status] += 1

        for number in range(rounds):
            async with anyio.create_task_group() as tabs:
                for _ in range(2 * FAILURES):
                    tabs.start_soon(ask, self.one.tab())
            for browser in self.others:
                await self._ask(browser, number)
        return statuses

    async def _ask(self, browser: Browser, number: int) -> None:
        for path in (f"/put?number={number}", "/"):
            answer = await browser.get(path)
            assert answer.status == 200
        assert answer.json() == {"name": "ann", "number": str(number)}


class OneRowTimesOut(WrappedStore):
    """Every call for `faulty` takes the whole deadline."""

    faulty = ""

    async def before(self, call: str) -> None:
        pass

    async def load(self, key: str) -> Stored | None:
        self._look(key)
        return await super().load(key)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        self._look(key)
        return await super().replace(key, data, expires_at, version)

    def _look(self, key: str) -> None:
        if key == self.faulty:
            raise StoreTimeout("no answer within 2 s")


@pytest.mark.parametrize("path", ["/", "/put?a=1"])
async def test_a_row_that_times_out(path: str) -> None:
    store = OneRowTimesOut(MemoryStore())
    crowd = Crowd(store)
    store.faulty = await crowd.sign_in()
    assert set(await crowd.ask_in_turn(path)) == {503}


async def test_a_session_that_cant_grow_in_a_store_that_is_nearly_full() -> None:
    crowd = Crowd(MemoryStore(max_bytes=1000))
    await crowd.sign_in()
    assert set(await crowd.ask_in_turn(f"/put?big={'x' * 1000}")) == {503}
    assert (await crowd.one.get("/")).json() == {"name": "ann"}


async def test_new_sessions_that_dont_fit_leave_the_writes_of_others_alone() -> None:
    store = MemoryStore(max_entries=1 + OTHERS)
    crowd = Crowd(store)
    await crowd.sign_in()
    for _ in range(10 * FAILURES):
        assert (await Browser(crowd.one.app).get("/put?name=bob")).status == 503
    assert set(await crowd.ask_in_turn("/put?a=1")) == {200}
    await store.delete(key_of(crowd.one.cookies["session"][:32]))
    assert (await Browser(crowd.one.app).get("/put?name=bob")).status == 200, "at once, when there is room"


@pytest.fixture
async def mysql_store(mariadb: MariaDBServer) -> AsyncIterator[DatabaseStore]:
    async with DatabaseStore(mariadb.url("fresh"), timeout=1.0) as store:
        yield store


@pytest.mark.slow
async def test_a_row_that_another_transaction_has_locked(mariadb: MariaDBServer, mysql_store: DatabaseStore) -> None:
    crowd = Crowd(mysql_store)
    key = await crowd.sign_in()
    connection = await connect(mariadb)
    async with locked(connection, key):
        assert set(await crowd.ask_in_turn("/put?a=1")) == {503}
    await connection.ensure_closed()
    assert (await crowd.one.get("/put?a=1")).status == 200, "when it is unlocked"


@pytest.mark.slow
async def test_a_row_of_postgresql_that_another_transaction_has_locked(postgresql: PostgreSQLServer) -> None:
    async with PostgreSQLStore(postgresql.url(), timeout=1.0) as store:
        crowd = Crowd(store)
        key = await crowd.sign_in()
        connection = await postgresql_control.connect(postgresql)
        async with postgresql_control.locked(connection, key):
            assert set(await crowd.ask_in_turn("/put?a=1")) == {503}
        await connection.close()
        assert (await crowd.one.get("/put?a=1")).status == 200, "when it is unlocked"


async def test_a_key_of_another_type(redis_server: RedisServer) -> None:
    async with RedisStore(redis_server.url) as store, Redis.from_url(redis_server.url) as control:
        crowd = Crowd(store)
        key = await crowd.sign_in()
        [name] = [name async for name in control.scan_iter(f"*{key}")]
        await control.delete(name)
        await control.rpush(name, "a list")
        await crowd.ask_in_turn("/")
