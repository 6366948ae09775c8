"""A server that freezes, refuses or is closed."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import ConfigurationError, HandlerSocketStore, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable, StoreFull
from starlette_sessions_ext.handlersocket import Client, ServerError
from starlette_sessions_ext.stores.handlersocket.errors import to_store_error
from starlette_sessions_ext.stores.mysql.schema import php_session
from starlette_sessions_ext.testing import FaultProxy
from starlette_sessions_ext.testing._ticks import counting_ticks

from ...support.mariadb_server import MariaDBServer
from ..mysql.control import load, until
from .stores import make_store

pytestmark = pytest.mark.anyio


async def test_P5_a_frozen_server_ends_in_a_timeout(mariadb: MariaDBServer, sql: Any, key: str, soon: int) -> None:
    async with make_store(mariadb) as patient, make_store(mariadb, timeout=1) as store:
        await patient.create(key, b"data", soon)
        row = await load(patient, key)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: store.load(key),
            lambda: store.create(key_of(new_id()), b"new", soon),
            lambda: store.replace(key, b"new", soon, row.version),
            lambda: store.touch(key, soon),
            lambda: store.delete(key, row.version),
            store.delete_expired,
        ]
        with mariadb.frozen():
            for call in calls:
                async with counting_ticks(1 / 20) as ticks:
                    with anyio.fail_after(60), pytest.raises(StoreTimeout):
                        await call()
                assert ticks.count < 25, "a fifth of the deadline to spare"
        assert await patient.load(key_of(new_id())) is None


async def test_a_write_that_never_reached_the_server_is_an_error(
    mariadb: MariaDBServer, sql: Any, key: str, soon: int
) -> None:
    async with FaultProxy("127.0.0.1", mariadb.hs_port_wr) as writing:
        async with make_store(mariadb, port_wr=writing.port, timeout=20) as store:
            await store.create(key, b"data", soon)
            row = await load(store, key)
            writing.refusing = True
            writing.reset()
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: store.create(key_of(new_id()), b"new", soon),
                lambda: store.replace(key, b"new", soon, row.version),
                lambda: store.touch(key, soon + 60),
                lambda: store.delete(key),
            ]
            for call in calls:
                with pytest.raises(StoreUnavailable):
                    await call()
            assert await store.load(key) == row
            writing.refusing = False
            assert await store.replace(key, b"new", soon, row.version)


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        ("149", SessionUnavailable, "waiting for a lock"),
        ("lock_tables", StoreUnavailable, "handlersocket_wr"),
        ("135", StoreFull, "free space"),
        ("120", StoreUnavailable, r"error 1 120"),
        ("fld", ConfigurationError, "ALTER TABLE `a`.`b`"),
    ],
)
async def test_errors_of_the_server_are_told_as_ours(reason: str, kind: type[Exception], words: str) -> None:
    error = to_store_error(ServerError(1, reason), "db", php_session("a", "b"))
    assert type(error) is kind
    assert re.search(words, str(error))


@pytest.mark.slow
async def test_a_load_on_a_connection_that_a_firewall_has_forgotten_is_asked_once_more(
    mariadb: MariaDBServer, sql: Any, key: str, soon: int
) -> None:
    """Packets of the connections that were idle vanish, without a word; new ones work."""
    async with (
        FaultProxy("127.0.0.1", mariadb.hs_port) as reading,
        FaultProxy("127.0.0.1", mariadb.hs_port_wr) as writing,
        make_store(mariadb, port=reading.port, port_wr=writing.port) as store,
    ):
        await store.create(key, b"data", soon)
        await asyncio.gather(*(store.load(key_of(new_id())) for _ in range(20)), store.load(key))
        await until(lambda: idle(store, 2))
        reading.forget()
        writing.forget()
        assert (await load(store, key)).data == b"data"
        assert await store.create(key_of(new_id()), b"new", soon), "it is sent on a new connection"


async def idle(store: HandlerSocketStore, count: int) -> bool:
    """Return whether so many connections for reading are made: the pool makes the second one in the background."""
    return len(store._ports.get().reading.clients) == count


async def test_the_system_probes_a_silent_connection(mariadb: MariaDBServer) -> None:
    client = await Client.connect("127.0.0.1", mariadb.hs_port, secret=mariadb.hs_secret)
    assert client.pipeline.transport is not None
    sock = client.pipeline.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    await client.aclose()


async def test_closing_ends_who_waits_for_a_connection(mariadb: MariaDBServer, key: str) -> None:
    store = make_store(mariadb)
    await store.open()
    await store.drain(hold=60)
    failures: list[str] = []

    async def wait() -> None:
        with pytest.raises(StoreUnavailable) as failure:
            await store.load(key)
        failures.append(str(failure.value))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await store.aclose()
    assert len(failures) == 2
