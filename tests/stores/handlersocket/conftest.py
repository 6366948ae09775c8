from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from starlette_sessions_ext import HandlerSocketStore
from starlette_sessions_ext.testing import FakeClock

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.mariadb_server import MariaDBServer
from ..mysql.control import connect, query
from .stores import make_store


@pytest.fixture
async def sql(mariadb: MariaDBServer) -> AsyncIterator[Any]:
    """A connection of the tests' own, and an empty table."""
    connection = await connect(mariadb)
    await query(connection, "DELETE FROM php_session")
    yield connection
    await connection.ensure_closed()


@pytest.fixture
async def store(mariadb: MariaDBServer, sql: Any, clock: FakeClock) -> AsyncIterator[HandlerSocketStore]:
    async with make_store(mariadb, clock=clock) as store:
        yield store
