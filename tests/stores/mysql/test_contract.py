from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncmy
import pytest

from starlette_sessions_ext import JSONSerializer, SessionStore
from starlette_sessions_ext.stores.mysql import DatabaseStore
from starlette_sessions_ext.stores.mysql.url import settings_of
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract, StoreContract

from ...support.mariadb_server import MariaDBServer
from .control import pool, query

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
"""Seconds for one operation where a test isn't about time, so that a busy machine fails none."""


class TestURL(NetworkStoreContract):
    database = "fresh"

    @pytest.fixture
    def url(self, mysql_url: str) -> str:
        return mysql_url

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[DatabaseStore]:
        async with await asyncmy.connect(**settings_of(url), autocommit=True) as connection:
            await query(connection, "DELETE FROM session_data")
        async with DatabaseStore(url, timeout=PATIENCE, clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, mariadb: MariaDBServer, control: Any) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(
        self, mariadb: MariaDBServer, proxy: FaultProxy, clock: FakeClock
    ) -> AsyncIterator[DatabaseStore]:
        async with DatabaseStore(mariadb.url(self.database, proxy.port), timeout=self.timeout, clock=clock) as store:
            yield store


class TestUpgradedTable(TestURL):
    """On the PHP adapter's own table, whose text is in utf8mb3."""

    database = "php"

    @pytest.fixture
    def url(self, mariadb: MariaDBServer) -> str:
        return mariadb.url(self.database)

    async def test_an_emoji_survives(self, store: SessionStore, key: str, soon: int) -> None:
        session = {"elephant": "🐘", "name": "Zoë"}
        await store.create(key, JSONSerializer().dumps(session), soon)
        row = await store.load(key)
        assert row is not None
        assert JSONSerializer().loads(row.data) == session


class TestGivenPool(StoreContract):
    autocommit = True

    @pytest.fixture
    async def store(self, mariadb: MariaDBServer, control: Any, clock: FakeClock) -> AsyncIterator[DatabaseStore]:
        async with (
            pool(mariadb, autocommit=self.autocommit) as given,
            DatabaseStore(given, timeout=PATIENCE, clock=clock) as store,
        ):
            yield store


class TestGivenPoolWithoutAutocommit(TestGivenPool):
    """As asyncmy makes a pool by default."""

    autocommit = False
