"""What a DatabaseStore is given: URLs, names, pools, accounts."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from asyncmy.cursors import DictCursor

from starlette_sessions_ext import ConfigurationError, StoreUnavailable
from starlette_sessions_ext.stores.mysql import DatabaseStore

from ...support.mariadb_server import MIGRATIONS, USER, MariaDBServer, running_mariadb
from ...support.servers import free_port
from .control import load, pool, query

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://", "mysql://user@host", "mysql://user@host/", "mysql://host/database", "redis://user@host/database"),
        *("mysql://user@host:port/database", "mysql://user@host:99999/database", "mysql://user@host/database?charset"),
    ],
)
async def test_a_bad_url_is_explained(url: str) -> None:
    with pytest.raises(ConfigurationError, match="mysql://user:password@host:3306/database"):
        DatabaseStore(url)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("charset=latin1", "utf8mb4"),
        ("ssl=perhaps", "true or false"),
        ("ssl_ca=/nowhere/ca.pem", "No such file"),
        ("local_infile=1", "no option local_infile"),
    ],
)
async def test_a_bad_option_is_explained(option: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DatabaseStore(f"mysql://user:secret@host/database?{option}")


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
async def test_a_unix_socket(mariadb: MariaDBServer, control: Any, key: str, soon: int, scheme: str) -> None:
    place = mariadb.url(f"fresh?unix_socket={mariadb.socket}&charset=utf8mb4&ssl=false", port=1)
    async with DatabaseStore(place.replace("mysql", scheme, 1)) as store:
        await store.create(key, b"data", soon)
        assert (await load(store, key)).data == b"data"


@pytest.mark.parametrize(
    "settings",
    [
        {"table": "session data"},
        {"table": "session_data` WHERE 1; DROP TABLE `session_data"},
        {"table": "a.b.c"},
        {"table": ".session_data"},
        {"table": "x" * 65},
        {"table": "séance"},
        {"column_data": "da%sta"},
        {"column_data": ""},
        {"column_version": "DATA"},
        {"lifetime": 0},
        {"lifetime": 1.5},
        {"lifetime": True},
        {"lifetime": timedelta(days=20_000)},
        *({"pool_size": 0}, {"pool_size": True}, {"timeout": 0}, {"timeout": float("nan")}, {"clock": 5}),
        *({"table": 5}, {"column_data": None}, {"column_version": b"version"}, {"max_data_bytes": 0}),
    ],
)
async def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        DatabaseStore("mysql://user@host/database", **settings)


async def test_another_table_with_other_names(mariadb: MariaDBServer, control: Any, key: str, soon: int) -> None:
    names: dict[str, Any] = {
        "column_session_id": "id",
        "column_data": "Key",
        "column_created_at": "from$",
        "column_modified_at": "to",
    }
    async with pool(mariadb, autocommit=True, database="fresh") as given:
        store = DatabaseStore(given, table="other.select", **names, column_version="9")
        with pytest.raises(ConfigurationError, match=r"there is no table `other`\.`select`") as refusal:
            await store.open()
        await query(control, str(refusal.value).partition("Make it: ")[2])
        try:
            await store.open()
            await store.create(key, b"one", soon)
            assert await store.replace(key, b"two", soon, (await load(store, key)).version)
            assert await store.touch(key, soon + 60)
            assert (await load(store, key)).expires_at == soon + 60
            assert await store.delete_expired() == 0
            assert await store.delete(key)
        finally:
            await query(control, "DROP TABLE other.`select`")


async def test_a_given_pool_is_never_closed(mariadb: MariaDBServer, control: Any, key: str) -> None:
    async with pool(mariadb, autocommit=True) as given:
        async with DatabaseStore(given) as store:
            await store.load(key)
        assert given.freesize == given.size == 1
        async with given.acquire() as connection:
            assert await query(connection, "SELECT 1") == [(1,)]


async def test_a_given_pool_keeps_its_settings(mariadb: MariaDBServer, control: Any, key: str, soon: int) -> None:
    settings: dict[str, Any] = {"maxsize": 1, "cursor_cls": DictCursor, "charset": "latin1"}
    async with pool(mariadb, **settings, sql_mode="'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'") as given:
        async with DatabaseStore(given) as store:
            for data in (b"""it's \\ "quoted" \\' \0 \\""", bytes(range(256))):
                await store.create(key, data, soon)
                assert (await load(store, key)).data == data
                await store.delete(key)
        async with given.acquire() as connection:
            assert not connection.get_autocommit()
            assert (await query(connection, "SELECT @@sql_mode AS mode"))[0]["mode"].startswith("NO_BACKSLASH_ESCAPES")


async def test_a_given_pool_without_a_database(mariadb: MariaDBServer, key: str) -> None:
    async with pool(mariadb, database=None) as given:
        with pytest.raises(ConfigurationError, match=r"database\.table"):
            await DatabaseStore(given).open()
        assert await DatabaseStore(given, table="fresh.session_data").load(key) is None


async def test_a_given_pool_that_cuts_values_is_refused(mariadb: MariaDBServer, key: str) -> None:
    async with pool(mariadb, autocommit=True, sql_mode="''") as given:
        with pytest.raises(ConfigurationError, match="STRICT_ALL_TABLES"):
            await DatabaseStore(given).load(key)


async def test_a_given_pool_that_was_closed_is_unavailable(mariadb: MariaDBServer, key: str) -> None:
    async with pool(mariadb, autocommit=True) as given:
        store = DatabaseStore(given)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.load(key)


async def test_a_wrong_password_is_told_without_it(mariadb: MariaDBServer, key: str) -> None:
    store = DatabaseStore(f"mysql://{USER}:wrong@127.0.0.1:{mariadb.port}/fresh")
    calls: list[Callable[[], Awaitable[Any]]] = [store.open, lambda: store.load(key)]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="OperationalError 1045") as failure:
            await call()
        assert "wrong" not in f"{failure.value!r}{failure.value}{vars(store)!r}"
    await store.aclose()


async def test_nobody_there_is_told_at_open() -> None:
    port = free_port()
    store = DatabaseStore(f"mysql://user@127.0.0.1:{port}/database")
    with pytest.raises(StoreUnavailable, match=f"MySQL at 127.0.0.1:{port} can't serve sessions"):
        await store.open()


async def test_tls(tmp_path_factory: pytest.TempPathFactory, key: str, soon: int) -> None:
    folder = tmp_path_factory.mktemp("tls")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*make.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True
    )
    files = (f"--ssl-cert={folder / 'cert.pem'}", f"--ssl-key={folder / 'key.pem'}")
    with running_mariadb(folder, *files, "--require-secure-transport=ON") as server:
        server.run("CREATE DATABASE fresh")
        server.run((MIGRATIONS / "0001_create.sql").read_text(), "fresh")
        async with DatabaseStore(server.url(f"fresh?ssl_ca={folder / 'cert.pem'}")) as store:
            await store.create(key, b"data", soon)
            assert (await load(store, key)).data == b"data"
        with pytest.raises(StoreUnavailable):
            await DatabaseStore(server.url("fresh?ssl=true")).open()  # the system knows no such authority
        with pytest.raises(StoreUnavailable, match="1045"):
            await DatabaseStore(server.url("fresh")).open()
