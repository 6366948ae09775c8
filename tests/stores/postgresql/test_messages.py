"""The usual causes for which a PostgreSQLStore can't serve, each with its remedy, wherever it shows."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from starlette_sessions_ext import ConfigurationError, SessionError, SessionTooLarge, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable, StoreError, StoreFull
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore
from starlette_sessions_ext.stores.postgresql.errors import to_store_error

from ...support.postgresql_server import PostgreSQLServer
from ...support.servers import free_port
from .control import until

pytestmark = pytest.mark.anyio

PASSWORD = "s3cret"
GRANT = r"lacks a right.* GRANT SELECT, INSERT, UPDATE, DELETE"


@pytest.fixture
async def clerk(postgresql: PostgreSQLServer, control: Any) -> AsyncIterator[str]:
    """The URL of an account with the rights that the store needs, and no more."""
    await control.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")
    await control.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO clerk")
    yield f"postgresql://clerk:{PASSWORD}@127.0.0.1:{postgresql.port}/fresh"
    await control.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'")
    await control.execute("DROP OWNED BY clerk; DROP ROLE clerk")


async def explained(url: str, soon: int, match: str, kind: type[SessionError] = StoreUnavailable) -> None:
    """At startup, in the doctor's look, and in the first request; never with the password."""
    store = PostgreSQLStore(url)
    key = key_of(new_id())
    calls: list[Callable[[], Awaitable[Any]]] = [
        store.open,
        store.diagnose,
        lambda: store.create(key, b"data", soon),
        lambda: store.touch(key, soon),
    ]
    for call in calls:
        with pytest.raises(kind, match=match) as failure:
            await call()
        assert PASSWORD not in f"{failure.value!r}{failure.value}"
    await store.aclose()


async def test_the_host_has_no_address(soon: int) -> None:
    url = f"postgresql://clerk:{PASSWORD}@-no-host-.invalid/fresh"
    await explained(url, soon, r"-no-host-\.invalid:5432 .*can't be resolved\. Correct the host")


async def test_nothing_listens(soon: int) -> None:
    port = free_port()
    await explained(
        f"postgresql://clerk:{PASSWORD}@127.0.0.1:{port}/fresh",
        soon,
        f"{port} .*Check host and port, that the server runs",
    )


async def test_the_socket_is_missing(soon: int) -> None:
    url = f"postgresql://clerk:{PASSWORD}@/fresh?host=/no/socket"
    await explained(url, soon, "/no/socket .*No such file.*Check host and port")


async def test_the_password_is_wrong(clerk: str, soon: int) -> None:
    await explained(clerk.replace("clerk:", "clerk:not-"), soon, "28P01.*account or its password.*percent-encoded")


async def test_the_account_may_not_log_in(clerk: str, control: Any, soon: int) -> None:
    await control.execute("ALTER ROLE clerk NOLOGIN")
    await explained(clerk, soon, "28000.*refuses the account. Check its name, and that pg_hba.conf")


async def test_there_is_no_such_database(clerk: str, soon: int) -> None:
    await explained(clerk.replace("/fresh", "/nowhere"), soon, "3D000.*no such database. CREATE DATABASE")


async def test_there_is_no_table(postgresql: PostgreSQLServer, clerk: str, soon: int) -> None:
    command = f"sessions-ext migrate postgresql://USER:PASSWORD@127.0.0.1:{postgresql.port}/other"
    await explained(clerk.replace("/fresh", "/other"), soon, f"no table.* Make it: {command}$", ConfigurationError)


async def test_a_table_that_was_dropped_later(clerk: str, control: Any, key: str) -> None:
    async with PostgreSQLStore(clerk) as store:
        await control.execute("ALTER TABLE sessions RENAME TO elsewhere")
        try:
            with pytest.raises(StoreUnavailable, match=r"42P01.*sessions-ext migrate"):
                await store.load(key)
        finally:
            await control.execute("ALTER TABLE elsewhere RENAME TO sessions")


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
async def test_the_account_may_not_write(clerk: str, control: Any, right: str) -> None:
    await control.execute(f"REVOKE {right} ON sessions FROM clerk")
    store = PostgreSQLStore(clerk)
    for call in (store.open, store.diagnose):
        with pytest.raises(StoreUnavailable, match=f"42501.*{GRANT}"):
            await call()
    await store.aclose()


async def test_an_account_without_more_rights_can_do_all(clerk: str, key: str, soon: int) -> None:
    async with PostgreSQLStore(clerk) as store:
        assert await store.create(key, b"data", soon, "a" * 32)
        assert await store.touch(key, soon + 1)
        assert await store.delete_all_of("a" * 32) == 1
        assert await store.delete_expired() == 0
        assert [problem.partition(" ")[0] for problem, _ in await store.diagnose()] == ["fsync"]


async def test_there_are_too_many_connections(clerk: str, control: Any, soon: int) -> None:
    await control.execute("ALTER ROLE clerk CONNECTION LIMIT 0")
    await explained(clerk, soon, "53300.*Raise max_connections")


async def test_the_server_is_silent(postgresql: PostgreSQLServer, clerk: str) -> None:
    store = PostgreSQLStore(clerk, timeout=0.5)
    with postgresql.frozen():
        with pytest.raises(StoreTimeout, match=r"didn't answer within 0.5 s.*overloaded or frozen"):
            await store.open()
    await store.aclose()


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        ("53100", StoreFull, "free space"),
        ("54000", SessionTooLarge, "too large"),
        ("57014", StoreTimeout, "gave up on a statement"),
        ("P0001", StoreUnavailable, r"RaiseError P0001\)$"),
        ("23514", StoreUnavailable, r"CheckViolationError 23514\)$"),
    ],
)
async def test_an_answer_of_the_server_is_given_without_its_words(
    store: PostgreSQLStore, control: Any, key: str, soon: int, state: str, kind: type[StoreError], message: str
) -> None:
    """A trigger gives the server's answer, which quotes the row."""
    await control.execute(
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'no room for %', NEW.key USING ERRCODE = '{state}', DETAIL = NEW.key; END $$;
        CREATE TRIGGER refusing BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()"""
    )
    try:
        with pytest.raises(kind, match=message) as failure:
            await store.create(key, b"data", soon)
        assert key not in f"{failure.value!r}{failure.value}"
        assert failure.value.__cause__ is None
        assert failure.value.__suppress_context__
        assert await store.load(key) is None
    finally:
        await control.execute("DROP FUNCTION refuse CASCADE")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (asyncpg.DeadlockDetectedError("x"), SessionUnavailable, "40P01"),
        (asyncpg.SerializationError("x"), SessionUnavailable, "40001"),
        (asyncpg.InvalidSQLStatementNameError("x"), StoreUnavailable, r"26000.*\?statement_cache_size=0"),
        (asyncpg.CannotConnectNowError("x"), StoreUnavailable, "57P03.*starting, stopping or recovering"),
        (asyncpg.InvalidSchemaNameError("x"), StoreUnavailable, "3F000.*CREATE SCHEMA"),
        (asyncpg.ProtocolViolationError("x"), StoreUnavailable, "08P01.*connection was lost"),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable, "connection was lost"),
        (asyncpg.InternalClientError("x"), StoreUnavailable, "connection was lost"),
        (ssl.SSLError("x"), StoreUnavailable, "TLS failed"),
        (socket.gaierror(-2, "x"), StoreUnavailable, "can't be resolved"),
        (OSError("Multiple exceptions"), StoreUnavailable, "no address of the host answered"),
        (
            ConnectionRefusedError(111, "Connection refused"),
            StoreUnavailable,
            "Connection refused. Check host and port",
        ),
    ],
)
async def test_an_error_of_the_driver_has_a_cause_and_a_remedy(
    error: Exception, kind: type[StoreError], message: str
) -> None:
    found = to_store_error(error, "PostgreSQL at host:5432")
    assert type(found) is kind
    with pytest.raises(kind, match=message):
        raise found


@pytest.mark.parametrize("character", list("&,@#:/?%+= ;é"))
async def test_a_password_of_any_characters(clerk: str, control: Any, key: str, character: str) -> None:
    password = f"{PASSWORD}{character}x"
    await control.execute(f"ALTER ROLE clerk PASSWORD '{password}'")
    async with PostgreSQLStore(clerk.replace(PASSWORD, quote(password, safe=""))) as store:
        assert await store.load(key) is None


async def test_settings_show_no_password() -> None:
    assert PASSWORD not in repr(vars(PostgreSQLStore(f"postgresql://clerk:{PASSWORD}@host/fresh")))


async def test_a_statement_that_was_deallocated_costs_its_connection(
    store: PostgreSQLStore, control: Any, key: str, soon: int
) -> None:
    """As by PgBouncer, which gives a client's statements to another server connection."""
    await store.create(key, b"data", soon)
    await store.load(key)
    pid = "SELECT pg_backend_pid()"
    async with store._connections().acquire() as connection:
        before = await connection.fetchval(pid)
        await connection.execute("DEALLOCATE ALL")
    assert (await store.load(key)) is not None, "asked once more on another connection"

    async def gone() -> bool:
        return not await control.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", before)

    await until(gone)
