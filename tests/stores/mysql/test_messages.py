"""The usual causes for which a DatabaseStore can't serve, each with its remedy, wherever it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from starlette_sessions_ext import ConfigurationError, SessionError, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import StoreFull
from starlette_sessions_ext.stores.mysql import DatabaseStore
from starlette_sessions_ext.stores.mysql.url import settings_of

from ...support.mariadb_server import MariaDBServer
from ...support.servers import free_port
from .control import pool, query

pytestmark = pytest.mark.anyio

PASSWORD = "s3cret"
GRANT = r"lacks a right .* GRANT SELECT, INSERT, UPDATE, DELETE"
READ_ONLY = r"read-only.* Name the primary server"


@pytest.fixture
async def clerk(mariadb: MariaDBServer, control: Any) -> AsyncIterator[str]:
    """The URL of an account with the rights that the store needs, and no more."""
    await query(control, f"CREATE OR REPLACE USER clerk IDENTIFIED BY '{PASSWORD}'")
    await query(control, "GRANT SELECT, INSERT, UPDATE, DELETE ON fresh.* TO clerk")
    yield f"mysql://clerk:{PASSWORD}@127.0.0.1:{mariadb.port}/fresh"
    await query(control, "SET GLOBAL read_only = 0")
    await query(control, "DROP USER clerk")


async def explained(url: str, soon: int, match: str, kind: type[SessionError] = StoreUnavailable) -> None:
    """At startup, in the doctor's look, and in the first request; never with the password."""
    store = DatabaseStore(url)
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
    url = f"mysql://clerk:{PASSWORD}@-no-host-.invalid/fresh"
    await explained(url, soon, "-no-host-.invalid:3306 .*can't be resolved. Correct the host")


async def test_nothing_listens(soon: int) -> None:
    port = free_port()
    await explained(
        f"mysql://clerk:{PASSWORD}@127.0.0.1:{port}/fresh", soon, f"{port} .*Check host and port, that the server runs"
    )


async def test_the_socket_is_missing(soon: int) -> None:
    await explained(f"mysql://clerk:{PASSWORD}@localhost/fresh?unix_socket=/no/socket", soon, "/no/socket .*can't")


async def test_the_password_is_wrong(mariadb: MariaDBServer, clerk: str, soon: int) -> None:
    url = clerk.replace("clerk:", "clerk:not-")
    await explained(url, soon, "1045.*refuses the account or its password. Check both, percent-encoded")


async def test_there_is_no_such_database(clerk: str, control: Any, soon: int) -> None:
    await query(control, "GRANT SELECT ON nowhere.* TO clerk")
    await explained(clerk.replace("/fresh", "/nowhere"), soon, "1049.*no such database. CREATE DATABASE")


async def test_the_database_is_anothers(clerk: str, soon: int) -> None:
    await explained(clerk.replace("/fresh", "/other"), soon, f"1044.*{GRANT}")


async def test_there_is_no_table(mariadb: MariaDBServer, clerk: str, control: Any, soon: int) -> None:
    await query(control, "GRANT SELECT ON other.* TO clerk")
    command = f"sessions-ext migrate mysql://USER:PASSWORD@127.0.0.1:{mariadb.port}/other"
    await explained(clerk.replace("/fresh", "/other"), soon, f"no table.* Make it: {command}$", ConfigurationError)


async def test_a_table_that_was_dropped_later(clerk: str, control: Any, key: str, soon: int) -> None:
    async with DatabaseStore(clerk) as store:
        await query(control, "RENAME TABLE fresh.session_data TO fresh.elsewhere")
        try:
            with pytest.raises(StoreUnavailable, match=r"1146.*sessions-ext migrate"):
                await store.load(key)
        finally:
            await query(control, "RENAME TABLE fresh.elsewhere TO fresh.session_data")


@pytest.mark.parametrize("right", ["INSERT", "UPDATE", "DELETE"])
async def test_the_account_may_not_write(clerk: str, control: Any, right: str) -> None:
    """It can read, so that only an attempt to write shows it."""
    await query(control, f"REVOKE {right} ON fresh.* FROM clerk")
    store = DatabaseStore(clerk)
    for call in (store.open, store.diagnose):
        with pytest.raises(StoreUnavailable, match=f"1142.*{GRANT}"):
            await call()
    await store.aclose()


async def test_an_account_that_only_reads(clerk: str, control: Any, soon: int) -> None:
    await query(control, "REVOKE INSERT, UPDATE, DELETE ON fresh.* FROM clerk")
    await explained(clerk, soon, f"1142.*{GRANT}")


async def test_the_server_is_read_only(clerk: str, control: Any, key: str, soon: int) -> None:
    await query(control, "SET GLOBAL read_only = 1")
    await explained(clerk, soon, f"1290.*{READ_ONLY}")
    store = DatabaseStore(clerk)
    assert await store.load(key) is None, "what it can do it does"
    await store.aclose()


async def test_an_exempt_account_on_a_read_only_server_is_a_finding(
    store: DatabaseStore, clerk: str, control: Any
) -> None:
    await query(control, "SET GLOBAL read_only = 1")
    await store.open()
    assert any("read_only is" in problem for problem, _ in await store.diagnose())


async def test_the_server_wants_tls(clerk: str, control: Any, soon: int) -> None:
    await query(control, "ALTER USER clerk REQUIRE SSL")
    await explained(clerk, soon, r"1045.*need TLS \(\?ssl=true")


async def test_the_server_has_no_tls(clerk: str, soon: int) -> None:
    await explained(f"{clerk}?ssl=true", soon, r"TLS")


async def test_the_server_is_silent(mariadb: MariaDBServer, clerk: str, key: str) -> None:
    store = DatabaseStore(clerk, timeout=0.5)
    with mariadb.frozen():
        with pytest.raises(StoreUnavailable, match=r"didn't answer within 0.5 s.*overloaded or frozen"):
            await store.open()
    await store.aclose()


@pytest.mark.parametrize("code", [1114, 1021])
async def test_the_server_is_full(clerk: str, control: Any, key: str, soon: int, code: int) -> None:
    """A trigger gives the server's answer; the disk stays as it is."""
    await query(
        control,
        "CREATE TRIGGER fresh.full BEFORE INSERT ON fresh.session_data FOR EACH ROW"
        f" SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}",
    )
    try:
        async with DatabaseStore(clerk) as store:
            with pytest.raises(StoreFull, match=f"{code}.*free space"):
                await store.create(key, b"data", soon)
            assert await store.load(key) is None
    finally:
        await query(control, "DROP TRIGGER fresh.full")


async def test_a_pool_of_another_loop(mariadb: MariaDBServer, control: Any, key: str) -> None:
    async with pool(mariadb, autocommit=True) as given:
        store = DatabaseStore(given)

        def elsewhere() -> None:
            with pytest.raises(StoreUnavailable, match="another event loop"):
                anyio.run(store.load, key)

        await anyio.to_thread.run_sync(elsewhere)
        assert await store.load(key) is None


class NotAPool:
    pass


@pytest.mark.parametrize("given", [None, 5, b"mysql://", NotAPool()])
async def test_what_isnt_a_pool_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="a mysql:// URL or a pool of asyncmy"):
        DatabaseStore(given)


async def test_a_pool_that_isnt_awaited_is_refused(mariadb: MariaDBServer) -> None:
    making = pool(mariadb)
    with pytest.raises(ConfigurationError, match=r"await create_pool\(...\)"):
        DatabaseStore(making)
    making.close()


@pytest.mark.parametrize("character", list("&,@#:/?%+= ;é"))
async def test_a_password_of_any_characters(clerk: str, control: Any, key: str, character: str) -> None:
    """Percent-encoded it works; as it is it works as well, or is refused without being shown."""
    password = f"{PASSWORD}{character}x"
    await query(control, "SET PASSWORD FOR clerk = PASSWORD(%s)", password)
    async with DatabaseStore(clerk.replace(PASSWORD, quote(password, safe=""))) as store:
        assert await store.load(key) is None
    with expected(character in "#/?"):
        async with DatabaseStore(clerk.replace(PASSWORD, password)) as store:
            assert await store.load(key) is None


@contextmanager
def expected(failure: bool) -> Iterator[None]:
    if not failure:
        yield
        return
    with pytest.raises(SessionError) as raised:
        yield
    assert PASSWORD not in f"{raised.value!r}{raised.value}"


async def test_settings_show_no_password() -> None:
    url = f"mysql://clerk:{PASSWORD}@host/fresh"
    assert PASSWORD not in repr(settings_of(url))
    assert PASSWORD not in repr(vars(DatabaseStore(url)))
