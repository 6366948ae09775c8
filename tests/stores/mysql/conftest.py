from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from starlette_sessions_ext.stores.mysql import DatabaseStore
from starlette_sessions_ext.testing import FakeClock

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.mariadb_server import MariaDBServer
from .control import connect, query


@pytest.fixture
async def control(mariadb: MariaDBServer) -> AsyncIterator[Any]:
    """A connection of the tests' own, and empty tables."""
    connection = await connect(mariadb)
    await query(connection, "DELETE FROM fresh.session_data")
    await query(connection, "DELETE FROM php.session_data")
    yield connection
    await connection.ensure_closed()


@pytest.fixture
async def store(mariadb: MariaDBServer, control: Any, clock: FakeClock) -> AsyncIterator[DatabaseStore]:
    async with DatabaseStore(mariadb.url("fresh"), clock=clock) as store:
        yield store
