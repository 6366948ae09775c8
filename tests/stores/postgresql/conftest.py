from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from starlette_sessions_ext.stores.postgresql import PostgreSQLStore
from starlette_sessions_ext.testing import FakeClock

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.postgresql_server import PostgreSQLServer
from .control import connect


@pytest.fixture
async def control(postgresql: PostgreSQLServer) -> AsyncIterator[Any]:
    """A connection of the tests' own, and an empty table."""
    connection = await connect(postgresql)
    await connection.execute("DELETE FROM sessions")
    yield connection
    await connection.close()


@pytest.fixture
async def store(postgresql: PostgreSQLServer, control: Any, clock: FakeClock) -> AsyncIterator[PostgreSQLStore]:
    async with PostgreSQLStore(postgresql.url(), clock=clock) as store:
        yield store
