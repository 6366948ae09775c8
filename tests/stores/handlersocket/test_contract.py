from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from starlette_sessions_ext import HandlerSocketStore, JSONSerializer, SessionStore, StoreUnavailable
from starlette_sessions_ext.stores.base import SupportsOwners
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract
from starlette_sessions_ext.testing.contract.base import TICKS
from starlette_sessions_ext.testing.contract.owners import ANN

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.mariadb_server import MariaDBServer, empty
from .stores import make_store

PATIENCE = 20.0
"""Seconds for one operation where a test isn't about time, so that a busy machine fails none."""


class TestFreshTable(NetworkStoreContract):
    database = "fresh"

    @pytest.fixture
    async def store(self, mariadb: MariaDBServer, clock: FakeClock) -> AsyncIterator[HandlerSocketStore]:
        empty(mariadb.url(self.database), "php_session")
        async with make_store(mariadb, self.database, timeout=PATIENCE, clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, mariadb: MariaDBServer) -> AsyncIterator[FaultProxy]:
        """The port for writing finds as well, so one proxy can stand before all that the store asks."""
        async with FaultProxy("127.0.0.1", mariadb.hs_port_wr) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(
        self, mariadb: MariaDBServer, proxy: FaultProxy, clock: FakeClock
    ) -> AsyncIterator[HandlerSocketStore]:
        ports = {"port": proxy.port, "port_wr": proxy.port, "secret": mariadb.hs_secret_wr}
        async with make_store(mariadb, self.database, **ports, timeout=self.timeout, clock=clock) as store:
            yield store


class TestUpgradedTable(TestFreshTable):
    """On the PHP adapter's own table, whose text is in utf8mb3."""

    database = "php"

    async def test_an_emoji_survives(self, store: SessionStore, key: str, soon: int) -> None:
        session = {"elephant": "🐘", "name": "Zoë"}
        await store.create(key, JSONSerializer().dumps(session), soon)
        row = await store.load(key)
        assert row is not None
        assert JSONSerializer().loads(row.data) == session


class TestConfirmedWrites(TestFreshTable):
    @pytest.fixture
    async def store(self, mariadb: MariaDBServer, clock: FakeClock) -> AsyncIterator[HandlerSocketStore]:
        empty(mariadb.url(self.database), "php_session")
        async with make_store(mariadb, self.database, verify_writes=True, timeout=PATIENCE, clock=clock) as store:
            yield store

    @pytest.mark.parametrize("ticks", range(TICKS))
    async def test_creates_and_a_removal_of_all(self, owners: SupportsOwners, soon: int, ticks: int) -> None:
        """A new row that is removed before it is read again can't be told from one that was taken back."""
        messages: list[str] = []
        try:
            await super().test_creates_and_a_removal_of_all(owners, soon, ticks)
        except* StoreUnavailable as errors:
            messages += map(str, errors.exceptions)
        assert all("has taken back a write" in message for message in messages)
        for key in await owners.keys_of(ANN):
            assert await owners.load(key) is not None
