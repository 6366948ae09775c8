"""The usual causes for which a HandlerSocketStore can't serve, each with its remedy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, HandlerSocketStore, SessionError, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id

from ...support.mariadb_server import MariaDBServer
from ...support.servers import free_port
from ..mysql.control import query
from .stores import make_store

pytestmark = pytest.mark.anyio

REACH = "Check host, port and port_wr"


async def explained(
    store: HandlerSocketStore, soon: int, match: str, kind: type[SessionError] = StoreUnavailable
) -> None:
    """At startup, in the doctor's look, and in the first request."""
    calls: list[Callable[[], Awaitable[Any]]] = [
        store.open,
        store.diagnose,
        lambda: store.create(key_of(new_id()), b"data", soon),
        lambda: store.load(key_of(new_id())),
    ]
    for call in calls:
        with pytest.raises(kind, match=match):
            await call()
    await store.aclose()


async def test_the_host_has_no_address(soon: int) -> None:
    await explained(HandlerSocketStore("-no-host-.invalid"), soon, f"-no-host-.invalid.* {REACH}")


@pytest.mark.parametrize("option", ["port", "port_wr"])
async def test_nothing_listens(mariadb: MariaDBServer, soon: int, option: str) -> None:
    port = free_port()
    options: dict[str, Any] = {option: port}
    await explained(make_store(mariadb, **options), soon, f"{port} can't be reached: .*{REACH}")


@pytest.mark.parametrize("option", ["port", "port_wr"])
async def test_it_is_the_port_for_sql(mariadb: MariaDBServer, soon: int, option: str) -> None:
    options: dict[str, Any] = {option: mariadb.port}
    await explained(make_store(mariadb, **options), soon, REACH)


async def test_both_ports_are_the_one_for_reading(mariadb: MariaDBServer, soon: int) -> None:
    store = make_store(mariadb, port_wr=mariadb.hs_port, secret_wr=mariadb.hs_secret)
    await explained(store, soon, "Give port_wr= the server's handlersocket_port_wr")


async def test_there_is_no_such_table(mariadb: MariaDBServer, soon: int) -> None:
    await explained(make_store(mariadb, "other"), soon, "`other`.* sessions-ext migrate", ConfigurationError)


async def test_the_server_is_silent(mariadb: MariaDBServer) -> None:
    store = make_store(mariadb, timeout=0.5)
    with mariadb.frozen():
        with pytest.raises(StoreUnavailable, match="overloaded or frozen"):
            await store.open()
    await store.aclose()


async def test_the_server_is_read_only(mariadb: MariaDBServer, sql: Any, soon: int) -> None:
    await query(sql, "SET GLOBAL read_only = 1")
    try:
        store = make_store(mariadb, timeout=1)
        for call in (store.open, lambda: store.create(key_of(new_id()), b"data", soon)):
            with pytest.raises(StoreUnavailable, match=r"read-only.*SET GLOBAL read_only = 0"):
                await call()
        await store.aclose()
        async with make_store(mariadb, timeout=1, mysql_url=mariadb.url("fresh")) as looking:
            assert any("read_only is" in problem for problem, _ in await looking.diagnose())
    finally:
        await query(sql, "SET GLOBAL read_only = 0")
