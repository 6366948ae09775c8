"""Through PgBouncer. In transaction mode each statement may go to another connection of the server."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore
from starlette_sessions_ext.testing import FakeClock, StoreContract

from ...support.pgbouncer import PgBouncer, running_pgbouncer
from ...support.postgresql_server import PostgreSQLServer
from .control import load, locked, pool

pytestmark = pytest.mark.anyio

OPTIONS = "statement_cache_size=0&sslmode=disable"


@pytest.fixture(scope="module")
def bouncer(postgresql: PostgreSQLServer) -> Iterator[PgBouncer]:
    with running_pgbouncer(postgresql, connections=3) as bouncer:
        yield bouncer


class TestPgBouncer(StoreContract):
    @pytest.fixture
    async def store(self, bouncer: PgBouncer, control: Any, clock: FakeClock) -> AsyncIterator[PostgreSQLStore]:
        async with PostgreSQLStore(bouncer.url(OPTIONS), timeout=20, clock=clock) as store:
            yield store


async def use(store: PostgreSQLStore, key: str, soon: int) -> None:
    row = await load(store, key)
    assert row.data[:32] == key.encode()
    await store.replace(key, key.encode() + b"+", soon, row.version)


async def test_more_clients_than_connections_and_cancellations(bouncer: PgBouncer, control: Any, soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(40)]
    async with PostgreSQLStore(bouncer.url(OPTIONS), timeout=30) as store:
        for key in keys:
            await store.create(key, key.encode(), soon)
        for _ in range(30):
            async with anyio.create_task_group() as group:
                for key in keys:
                    group.start_soon(use, store, key, soon)
                for _ in range(random.randrange(30)):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        async with anyio.create_task_group() as group:
            for key in keys:
                group.start_soon(use, store, key, soon)


async def test_a_wait_for_a_lock_has_its_limit_there_too_and_leaves_no_setting_behind(
    postgresql: PostgreSQLServer, bouncer: PgBouncer, control: Any, key: str, soon: int
) -> None:
    async with PostgreSQLStore(bouncer.url(OPTIONS), timeout=1) as store:
        await store.create(key, b"data", soon)
        async with locked(control, key):
            with pytest.raises(SessionUnavailable, match="55P03"):
                await store.touch(key, soon + 1)
        async with pool(postgresql, port=bouncer.port, statement_cache_size=0) as other:
            assert await other.fetchval("SHOW lock_timeout") == "0"


async def test_prepared_statements_are_refused_with_the_remedy(bouncer: PgBouncer, control: Any, soon: int) -> None:
    """This PgBouncer keeps none; from 1.21 on it can, with max_prepared_statements."""
    keys = [key_of(new_id()) for _ in range(30)]
    refusals: list[str] = []
    async with PostgreSQLStore(bouncer.url("sslmode=disable"), timeout=30) as store:

        async def ask(key: str) -> None:
            try:
                for _ in range(10):
                    await store.touch(key, soon)
            except StoreUnavailable as error:
                refusals.append(str(error))

        with anyio.fail_after(60):
            while not refusals:
                async with anyio.create_task_group() as group:
                    for key in keys:
                        group.start_soon(ask, key)
    assert "?statement_cache_size=0" in refusals[0]


async def test_session_mode_needs_no_setting(postgresql: PostgreSQLServer, control: Any, soon: int) -> None:
    keys = [key_of(new_id()) for _ in range(20)]
    with running_pgbouncer(postgresql, connections=10, mode="session") as bouncer:
        async with PostgreSQLStore(bouncer.url("sslmode=disable"), timeout=30) as store:
            for key in keys:
                await store.create(key, key.encode(), soon)
            async with anyio.create_task_group() as group:
                for key in keys:
                    group.start_soon(use, store, key, soon)
