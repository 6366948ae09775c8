"""Moving sessions from one real store to another. In which orders: test_orders.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis
from starlette.requests import Request

from starlette_sessions_ext import (
    DatabaseStore,
    MemoryStore,
    MigratingStore,
    RedisStore,
    SessionStore,
    SessionTooLarge,
    SQLiteStore,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.base import SupportsOwners, check_row
from starlette_sessions_ext.stores.migrating import MigratingOwners
from starlette_sessions_ext.testing import FakeClock, StoreContract

from ...support.client import Browser, make_app
from ...support.mariadb_server import MariaDBServer
from ...support.redis_server import RedisServer, let_pass
from ...support.store_wrappers import CountingStore, GatedStore
from ...support.trio_in_full import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio


class Unmoved(MigratingStore):
    """Sessions are made in the old store, so that whatever is done to one moves it first."""

    def __init__(self, new: SessionStore, old: SessionStore) -> None:
        super().__init__(new, old)
        self._creating = anyio.Lock()

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        if len(data) > (self.max_data_bytes or 0):
            raise SessionTooLarge
        async with self._creating:  # else a load moves the row away between another's look and its create
            return await self.load(key) is None and await self._old.create(key, data, expires_at)


class UnmovedOwners(MigratingOwners):
    """Sessions with owners, as `Unmoved` does it."""

    _old: SupportsOwners

    def __init__(self, new: SessionStore, old: SessionStore) -> None:
        super().__init__(new, old)
        self._creating = anyio.Lock()

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        check_row(key, data, expires_at, self.max_data_bytes, owner)
        async with self._creating:
            return await self.load(key) is None and await self._old.create(key, data, expires_at, owner)


class PairContract(StoreContract):
    """The contract, for sessions of the new store and for those that are still in the old one."""

    @pytest.fixture
    async def pair(self, clock: FakeClock) -> Any:
        """The new store and the old one."""
        raise NotImplementedError

    @pytest.fixture(params=[MigratingStore, Unmoved])
    async def store(
        self, request: pytest.FixtureRequest, pair: tuple[SessionStore, SessionStore]
    ) -> AsyncIterator[MigratingStore]:
        kind: type[MigratingStore] = request.param
        if kind is Unmoved and all(isinstance(one, SupportsOwners) for one in pair):
            kind = UnmovedOwners
        async with kind(*pair) as store:
            yield store


class TestMemoryToMemory(PairContract):
    @pytest.fixture
    async def pair(self, clock: FakeClock) -> tuple[SessionStore, SessionStore]:
        return MemoryStore(clock=clock), MemoryStore(clock=clock)


class RedisPairContract(PairContract):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def redis(self, redis_server: RedisServer) -> AsyncIterator[Redis]:
        async with Redis.from_url(redis_server.url) as self.control:
            await self.control.flushall()
            yield self.control

    async def advance(self, store: SessionStore, clock: FakeClock, seconds: float) -> None:
        clock.advance(seconds)
        await let_pass(self.control, seconds)


class TestRedisToSQLite(RedisPairContract):
    @pytest.fixture
    async def pair(self, clock: FakeClock, tmp_path: Path, redis: Redis) -> tuple[SessionStore, SessionStore]:
        return SQLiteStore(tmp_path / "sessions.db", clock=clock), RedisStore(redis, clock=clock)


class TestDatabaseToRedis(RedisPairContract):
    @pytest.fixture
    async def pair(self, clock: FakeClock, mariadb: MariaDBServer, redis: Redis) -> tuple[SessionStore, SessionStore]:
        mariadb.run("DELETE FROM session_data", "fresh")
        return RedisStore(redis, clock=clock), DatabaseStore(mariadb.url("fresh"), clock=clock)


class Pair:
    """Two stores that count their calls, the one that moves between them, and a session in the old one."""

    def __init__(self, clock: FakeClock) -> None:
        self.new, self.old = CountingStore(MemoryStore(clock=clock)), CountingStore(MemoryStore(clock=clock))
        self.store = MigratingStore(self.new, self.old)
        self.key = key_of(new_id())
        self.soon = int(clock()) + 3600

    def forget_calls(self) -> None:
        self.new.calls.clear()
        self.old.calls.clear()


@pytest.fixture
async def pair(clock: FakeClock) -> Pair:
    pair = Pair(clock)
    assert await pair.old.store.create(pair.key, b"data", pair.soon)
    return pair


async def test_the_first_load_moves_a_session_and_the_next_costs_one_round_trip(pair: Pair) -> None:
    row = await pair.store.load(pair.key)
    assert row == await pair.new.store.load(pair.key)
    assert row is not None
    assert (row.data, row.expires_at) == (b"data", pair.soon)
    assert await pair.old.store.load(pair.key) is None
    assert len(pair.new.calls) + len(pair.old.calls) == 10
    pair.forget_calls()
    assert await pair.store.load(pair.key) == row
    assert (pair.new.calls, pair.old.calls) == (["load"], [])


async def test_a_session_that_has_been_moved_needs_the_old_store_no_more(pair: Pair) -> None:
    row = await pair.store.load(pair.key)
    assert row is not None
    pair.forget_calls()
    assert await pair.store.replace(pair.key, b"more", pair.soon, row.version)
    assert await pair.store.touch(pair.key, pair.soon + 60)
    assert await pair.store.delete(pair.key)
    assert pair.old.calls == []


async def test_a_key_that_the_old_store_holds_is_taken(pair: Pair) -> None:
    assert not await pair.store.create(pair.key, b"mine", pair.soon)
    assert (await pair.store.load(pair.key) or b"")[0] == b"data"


async def test_a_browser_notices_nothing_but_its_logout(pair: Pair, clock: FakeClock) -> None:
    async def visit(request: Request) -> int:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return int(request.session["visits"])

    async def sign_out(request: Request) -> None:
        request.state.session.destroy()

    handlers = {"/": visit, "/sign_out": sign_out}
    browser = Browser(make_app(pair.old, handlers, clock=clock))
    assert (await browser.get("/")).json() == 1
    browser.app = make_app(pair.store, handlers, clock=clock)
    copied = browser.tab()
    answer = await browser.get("/")
    assert (answer.json(), answer.set_cookies) == (2, [])
    await browser.get("/sign_out")
    assert (await copied.get("/")).json() == 1


async def test_expired_rows_of_both_stores_are_collected_up_to_the_limit(pair: Pair, clock: FakeClock) -> None:
    for _ in range(3):
        await pair.new.store.create(key_of(new_id()), b"new", pair.soon)
    clock.advance(3600)
    assert await pair.store.delete_expired(limit=2) == 2
    assert pair.old.calls == []
    assert await pair.store.delete_expired(limit=2) == 2
    assert await pair.store.delete_expired() == 0


@pytest.mark.parametrize(
    ("new", "old", "both"), [(None, None, None), (5000, None, 4965), (None, 1000, 1000), (5000, 1000, 1000)]
)
def test_what_fits_is_what_fits_into_both(new: int | None, old: int | None, both: int | None) -> None:
    """A session that moves takes a few bytes more in the new store for a moment."""
    store = MigratingStore(MemoryStore(max_data_bytes=new), MemoryStore(max_data_bytes=old))
    assert store.max_data_bytes == both


async def test_what_the_new_store_cant_hold_stays_in_the_old_one(clock: FakeClock, key: str, soon: int) -> None:
    new, old = MemoryStore(max_data_bytes=500, clock=clock), MemoryStore(clock=clock)
    await old.create(key, b"x" * 600, soon)
    for _ in range(2):
        with pytest.raises(SessionTooLarge):
            await MigratingStore(new, old).load(key)
    larger = MigratingStore(MemoryStore(clock=clock), old)
    assert (await larger.load(key) or b"")[0] == b"x" * 600


class FailingStore(GatedStore):
    """Fails at every call while it is `down`."""

    def __init__(self, store: SessionStore) -> None:
        super().__init__(store, self.fail)
        self.down = True
        self.closed = 0

    async def fail(self) -> None:
        if self.down:
            raise StoreUnavailable("the old store is down")

    async def open(self) -> None:
        await self.fail()

    async def aclose(self) -> None:
        self.closed += 1
        await self.fail()


async def test_an_old_store_that_is_down_is_never_taken_for_an_empty_one(clock: FakeClock, key: str, soon: int) -> None:
    old = FailingStore(MemoryStore(clock=clock))
    await old.store.create(key, b"data", soon)
    store = MigratingStore(MemoryStore(clock=clock), old)
    calls: list[Callable[[], Awaitable[Any]]] = [
        store.open,
        lambda: store.load(key),
        lambda: store.create(key, b"new", soon),
        lambda: store.touch(key, soon + 60),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call()
    old.down = False
    assert (await store.load(key) or b"")[0] == b"data"


async def test_both_stores_are_closed_even_if_one_fails_to(clock: FakeClock) -> None:
    new, old = FailingStore(MemoryStore(clock=clock)), FailingStore(MemoryStore(clock=clock))
    with pytest.raises(StoreUnavailable):
        await MigratingStore(new, old).aclose()
    assert (new.closed, old.closed) == (1, 1)


async def test_a_move_ends_at_its_deadline(clock: FakeClock, key: str, soon: int) -> None:
    old = GatedStore(MemoryStore(clock=clock), anyio.sleep_forever)
    await old.store.create(key, b"data", soon)
    store = MigratingStore(MemoryStore(clock=clock), old, timeout=0.05)
    for call in (store.load, store.delete):
        with pytest.raises(StoreTimeout, match="moving a session"):
            await call(key)
    assert (await MigratingStore(MemoryStore(clock=clock), old.store).load(key) or b"")[0] == b"data"
