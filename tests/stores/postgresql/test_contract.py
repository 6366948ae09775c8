from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from starlette_sessions_ext.stores.postgresql import PostgreSQLStore
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract, StoreContract

from ...support.postgresql_server import PostgreSQLServer
from .control import pool

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
"""Seconds for one operation where a test isn't about time, so that a busy machine fails none."""


class TestURL(NetworkStoreContract):
    @pytest.fixture
    async def store(
        self, postgresql: PostgreSQLServer, control: Any, clock: FakeClock
    ) -> AsyncIterator[PostgreSQLStore]:
        async with PostgreSQLStore(postgresql.url(), timeout=PATIENCE, clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, postgresql: PostgreSQLServer, control: Any) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", postgresql.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(
        self, postgresql: PostgreSQLServer, proxy: FaultProxy, clock: FakeClock
    ) -> AsyncIterator[PostgreSQLStore]:
        async with PostgreSQLStore(postgresql.url(port=proxy.port), timeout=self.timeout, clock=clock) as store:
            yield store


class TestWithoutPreparedStatements(StoreContract):
    """As PgBouncer needs it. Each operation then takes two round trips."""

    @pytest.fixture
    async def store(
        self, postgresql: PostgreSQLServer, control: Any, clock: FakeClock
    ) -> AsyncIterator[PostgreSQLStore]:
        url = f"{postgresql.url()}?statement_cache_size=0&sslmode=disable"
        async with PostgreSQLStore(url, timeout=PATIENCE, clock=clock) as store:
            yield store


class TestGivenPool(StoreContract):
    @pytest.fixture
    async def store(
        self, postgresql: PostgreSQLServer, control: Any, clock: FakeClock
    ) -> AsyncIterator[PostgreSQLStore]:
        async with (
            pool(postgresql) as given,
            PostgreSQLStore(given, timeout=PATIENCE, clock=clock) as store,
        ):
            yield store
