from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from starlette_sessions_ext.stores.handlersocket import HandlerSocketStore
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract

from ..mariadb_server import MariaDBServer

pytestmark = pytest.mark.anyio

ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module", params=[ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def make_store(server: MariaDBServer, database: str = "fresh", **options: Any) -> HandlerSocketStore:
    settings: dict[str, Any] = {"port": server.hs_port, "port_wr": server.hs_port_wr}
    settings |= {"secret": server.hs_secret, "secret_wr": server.hs_secret_wr, "dbname": database}
    return HandlerSocketStore("127.0.0.1", **{**settings, **options})


@pytest.fixture
def empty(mariadb: MariaDBServer) -> None:
    mariadb.run("DELETE FROM fresh.php_session; DELETE FROM php.php_session;")


class BothPorts(FaultProxy):
    """A proxy before the port for reading, and one before that for writing, which does as the first."""


class TestFresh(NetworkStoreContract):
    database = "fresh"

    @pytest.fixture
    async def store(self, mariadb: MariaDBServer, empty: None, clock: FakeClock) -> AsyncIterator[HandlerSocketStore]:
        async with make_store(mariadb, self.database, clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, mariadb: MariaDBServer, empty: None) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", mariadb.hs_port_wr) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(
        self, mariadb: MariaDBServer, proxy: FaultProxy, clock: FakeClock
    ) -> AsyncIterator[HandlerSocketStore]:
        async with make_store(
            mariadb,
            self.database,
            port=proxy.port,
            port_wr=proxy.port,
            secret=mariadb.hs_secret_wr,
            timeout=self.timeout,
            clock=clock,
        ) as store:
            yield store


class TestUpgradedTable(TestFresh):
    """On the PHP adapter's own table, whose text is in utf8mb3."""

    database = "php"
