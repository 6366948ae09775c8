from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import asyncmy
import asyncmy.errors
import pytest
from asyncmy.cursors import DictCursor

from starlette_sessions_ext import (
    ConfigurationError,
    JSONSerializer,
    SessionStore,
    SessionTooLarge,
    Stored,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext.ids import key_of, new_id
from starlette_sessions_ext.stores import _mysql_rows as rows
from starlette_sessions_ext.stores._mysql_errors import as_ours
from starlette_sessions_ext.stores._mysql_pool import OwnPool
from starlette_sessions_ext.stores._mysql_url import settings_of
from starlette_sessions_ext.stores.database import DatabaseStore
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract, StoreContract

from ..mariadb_server import MIGRATIONS, PASSWORD, USER, MariaDBServer, running_mariadb
from ..servers import free_port

pytestmark = pytest.mark.anyio

ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module", params=[ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


async def connect(server: MariaDBServer, database: str = "fresh", **settings: Any) -> Any:
    """A connection of the tests' own."""
    address = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD.encode()}
    return await asyncmy.connect(**{**address, "database": database, "autocommit": True, **settings})


async def query(connection: Any, statement: str, *values: object) -> list[Any]:
    cursor = connection.cursor()
    await cursor.execute(statement, values)
    return list(await cursor.fetchall())


@pytest.fixture
async def control(mariadb: MariaDBServer) -> AsyncIterator[Any]:
    """A connection of the tests' own, and empty tables."""
    connection = await connect(mariadb)
    await query(connection, "DELETE FROM fresh.session_data")
    await query(connection, "DELETE FROM php.session_data")
    yield connection
    await connection.ensure_closed()


def pool(server: MariaDBServer, **settings: Any) -> Any:
    address = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD.encode()}
    return asyncmy.create_pool(**{**address, "database": "fresh", **settings})


class TestURL(NetworkStoreContract):
    database = "fresh"

    @pytest.fixture
    async def store(self, mariadb: MariaDBServer, control: Any, clock: FakeClock) -> AsyncIterator[DatabaseStore]:
        async with DatabaseStore(mariadb.url(self.database), clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, mariadb: MariaDBServer, control: Any) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(
        self, mariadb: MariaDBServer, proxy: FaultProxy, clock: FakeClock
    ) -> AsyncIterator[DatabaseStore]:
        async with DatabaseStore(mariadb.url(self.database, proxy.port), timeout=self.timeout, clock=clock) as store:
            yield store


class TestUpgradedTable(TestURL):
    """On the PHP adapter's own table, whose text is in utf8mb3."""

    database = "php"

    async def test_an_emoji_survives(self, store: SessionStore, key: str, soon: int) -> None:
        session = {"elephant": "🐘", "name": "Zoë"}
        await store.create(key, JSONSerializer().dumps(session), soon)
        row = await store.load(key)
        assert row is not None
        assert JSONSerializer().loads(row.data) == session


class TestGivenPool(StoreContract):
    autocommit = True

    @pytest.fixture
    async def store(self, mariadb: MariaDBServer, control: Any, clock: FakeClock) -> AsyncIterator[DatabaseStore]:
        async with pool(mariadb, autocommit=self.autocommit) as given, DatabaseStore(given, clock=clock) as store:
            yield store


class TestGivenPoolWithoutAutocommit(TestGivenPool):
    """As asyncmy makes a pool that isn't told otherwise."""

    autocommit = False


@pytest.fixture
async def store(mariadb: MariaDBServer, control: Any, clock: FakeClock) -> AsyncIterator[DatabaseStore]:
    async with DatabaseStore(mariadb.url("fresh"), clock=clock) as store:
        yield store


async def load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


# What it is given


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
        {"pool_size": 0},
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


def test_every_event_loop_gets_connections_of_its_own(mariadb: MariaDBServer, key: str, soon: int) -> None:
    store = DatabaseStore(mariadb.url("fresh"))

    async def write_and_read() -> Stored | None:
        await store.create(key, b"data", soon)
        row = await store.load(key)
        await store.aclose()
        return row

    for _ in range(3):
        row = anyio.run(write_and_read)
        assert row is not None
        assert row.data == b"data"


async def test_a_wrong_password_is_told_without_it(mariadb: MariaDBServer, key: str) -> None:
    store = DatabaseStore(f"mysql://{USER}:wrong@127.0.0.1:{mariadb.port}/fresh")
    calls: list[Callable[[], Awaitable[Any]]] = [store.open, lambda: store.load(key)]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="OperationalError 1045") as failure:
            await call()
        assert "wrong" not in f"{failure.value!r}{failure.value}{vars(store)['_own']!r}"
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
    files = (f"ssl-cert={folder / 'cert.pem'}", f"ssl-key={folder / 'key.pem'}")
    with running_mariadb(folder, *files, "require-secure-transport=ON") as server:
        server.run("CREATE DATABASE fresh")
        server.run((MIGRATIONS / "0001_create.sql").read_text(), "fresh")
        async with DatabaseStore(server.url(f"fresh?ssl_ca={folder / 'cert.pem'}")) as store:
            await store.create(key, b"data", soon)
            assert (await load(store, key)).data == b"data"
        with pytest.raises(StoreUnavailable):
            await DatabaseStore(server.url("fresh?ssl=true")).open()  # the system knows no such authority
        with pytest.raises(StoreUnavailable, match="1045"):
            await DatabaseStore(server.url("fresh")).open()


# The table


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ("DROP COLUMN version", ["no column `version`", "ADD COLUMN `version` BIGINT UNSIGNED NOT NULL DEFAULT 0"]),
        (
            "MODIFY session_id VARCHAR(35) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
            ["takes different ids for one under utf8mb4_general_ci", "COLLATE ascii_bin"],
        ),
        ("MODIFY session_id VARCHAR(31) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", ["shorter than a key's 32"]),
        ("MODIFY session_id VARBINARY(35) NOT NULL", ["isn't text"]),
        ("DROP PRIMARY KEY", ["`session_id` alone isn't its primary key"]),
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (session_id(20))", ["`session_id` alone isn't its primary key"]),
        ("MODIFY data TINYTEXT NOT NULL", ["shorter than 4096 bytes", "MODIFY `data` MEDIUMTEXT NOT NULL"]),
        ("MODIFY data CHAR(200) NOT NULL", ["doesn't give back text as it was written"]),
        ("MODIFY data MEDIUMTEXT CHARACTER SET ucs2 NOT NULL", ["doesn't hold ASCII as it is in ucs2"]),
        ("MODIFY modified_at INT", ["can't hold unix seconds for long"]),
        ("MODIFY created_at SMALLINT NOT NULL", ["`created_at` (smallint"]),
        ("MODIFY version INT UNSIGNED NOT NULL", ["can't hold a version"]),
        ("MODIFY version BIGINT UNSIGNED", ["can't hold a version"]),
        ("ADD COLUMN user INT NOT NULL", ["`user` has no default"]),
        ("ENGINE=MyISAM", ["isn't transactional", "ENGINE=InnoDB"]),
        ("DROP COLUMN version, MODIFY data TINYTEXT NOT NULL", ["no column `version`", "shorter than 4096 bytes"]),
    ],
)
async def test_open_refuses_a_table_and_says_what_mends_it(
    mariadb: MariaDBServer, control: Any, key: str, change: str, messages: list[str]
) -> None:
    await query(control, "CREATE TABLE other.session_data LIKE fresh.session_data")
    try:
        await query(control, f"ALTER TABLE other.session_data {change}")
        async with pool(mariadb, autocommit=True) as given:
            store = DatabaseStore(given, table="other.session_data")
            with pytest.raises(ConfigurationError) as refusal:
                await store.open()
            with pytest.raises(ConfigurationError):
                await store.load(key)
            for message in messages:
                assert message in str(refusal.value)
            mend = str(refusal.value).partition("Mend it: ")[2]
            if "PRIMARY KEY (session_id(20))" in change:
                await query(control, "ALTER TABLE other.session_data DROP PRIMARY KEY")
            await query(control, mend)
            await store.open()
            assert await store.load(key) is None
    finally:
        await query(control, "DROP TABLE other.session_data")


async def test_what_the_column_holds_bounds_the_size(mariadb: MariaDBServer, control: Any, key: str, soon: int) -> None:
    fresh, php = DatabaseStore(mariadb.url("fresh")), DatabaseStore(mariadb.url("php"))
    large = DatabaseStore(mariadb.url("fresh"), max_data_bytes=2**30, timeout=20)
    small = DatabaseStore(mariadb.url("fresh"), max_data_bytes=10)
    assert [fresh.max_data_bytes, php.max_data_bytes, small.max_data_bytes] == [65_535, 65_535, 10]
    async with fresh, php, large, small:
        assert [fresh.max_data_bytes, php.max_data_bytes, small.max_data_bytes] == [2**20, 65_535, 10]
        [(packet,)] = await query(control, "SELECT @@max_allowed_packet")
        assert large.max_data_bytes == (packet - 1024) // 2
        data = b"\\" * ((packet - 1024) // 2)
        await large.create(key, data, soon)
        assert (await load(large, key)).data == data


async def test_bytes_that_have_to_be_written_as_text_are_measured_as_such(
    mariadb: MariaDBServer, control: Any, key: str, soon: int
) -> None:
    async with DatabaseStore(mariadb.url("php")) as store:
        await store.create(key, b"\xff" * 49_146, soon)
        assert (await load(store, key)).data == b"\xff" * 49_146
        with pytest.raises(SessionTooLarge, match="65535"):
            await store.create(key_of(new_id()), b"\xff" * 49_147, soon)


async def test_a_column_made_shorter_meanwhile_loses_nothing(
    mariadb: MariaDBServer, control: Any, key: str, soon: int
) -> None:
    await query(control, "CREATE TABLE other.session_data LIKE fresh.session_data")
    try:
        async with DatabaseStore(mariadb.url("other")) as store:
            await store.create(key, b"one", soon)
            row = await load(store, key)
            await query(control, "ALTER TABLE other.session_data MODIFY data TEXT NOT NULL")
            with pytest.raises(SessionTooLarge, match="1406"):
                await store.replace(key, b"x" * 65_536, soon, row.version)
            assert await store.load(key) == row
    finally:
        await query(control, "DROP TABLE other.session_data")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a":"\\u00e9"}', '{"a":"\\u00e9"}'),
        ("é".encode(), "base64:w6k="),
        (b"base64:w6k=", "base64:YmFzZTY0Onc2az0="),
    ],
)
async def test_ascii_is_stored_as_it_is(
    store: DatabaseStore, control: Any, key: str, soon: int, data: bytes, text: str
) -> None:
    await store.create(key, data, soon)
    assert await query(control, "SELECT data FROM session_data") == [(text,)]
    assert (await load(store, key)).data == data


async def test_rows_of_a_php_application(
    mariadb: MariaDBServer, control: Any, clock: FakeClock, soon: int, key: str
) -> None:
    """They live by the same rule, are read as the bytes they are, and their writer knows nothing of versions."""
    insert = "INSERT INTO php.session_data (session_id, data, created_at, modified_at) VALUES (%s, %s, %s, %s)"
    now = int(clock())
    new, used, base64 = key_of(new_id()), key_of(new_id()), key_of(new_id())
    for row in (
        (new, 'name|s:4:"Zoë";', now, None),
        (used, "cart|i:1;", now - 10_000, now),
        (base64, "base64:not really", now, None),
        (key, "old|b:1;", now - 1441, None),
        ("4qf1u9g9oi5gfh8e6tdbKJ-,", "old|b:1;", now - 10_000, now - 1440),
        ("4qf1u9g9oi5gfh8e6tdbkj-,", "live|b:1;", now - 10_000, now - 1439),
    ):
        await query(control, insert, *row)
    async with DatabaseStore(mariadb.url("php"), lifetime=1440, clock=clock) as store:
        assert await store.load(new) == Stored('name|s:4:"Zoë";'.encode(), 0, now + 1440)
        assert await store.load(used) == Stored(b"cart|i:1;", 0, now + 1440)
        assert (await load(store, base64)).data == b"base64:not really"
        assert await store.load(key) is None
        assert await store.delete_expired() == 2
        assert await store.replace(used, b"cart|i:2;", now + 60, 0)
        await query(
            control, "UPDATE php.session_data SET data = %s, modified_at = %s WHERE session_id = %s", "", now, used
        )
        assert (await load(store, used)).data == b""


async def test_another_lifetime_is_stored_as_a_shifted_time(
    store: DatabaseStore, control: Any, clock: FakeClock, key: str
) -> None:
    now = int(clock())
    await store.create(key, b"data", now + 60)
    assert await query(control, "SELECT created_at, modified_at FROM session_data") == [(now, now + 60 - 1209600)]
    await store.touch(key, 253_402_300_799)
    assert (await load(store, key)).expires_at == 253_402_300_799
    await store.touch(key, 5)
    assert await query(control, "SELECT modified_at FROM session_data") == [(0,)]
    assert await store.load(key) is None


async def test_an_int_column_ends_in_2106(mariadb: MariaDBServer, control: Any, key: str) -> None:
    async with DatabaseStore(mariadb.url("php"), lifetime=timedelta(hours=1)) as store:
        await store.create(key, b"data", 253_402_300_799)
        assert (await load(store, key)).expires_at == 2**32 - 1 + 3600


@pytest.mark.parametrize("version", ["1", None, 1.0, b"1"])
async def test_what_isnt_a_version_changes_nothing(store: DatabaseStore, key: str, soon: int, version: Any) -> None:
    await store.create(key, b"data", soon)
    assert not await store.replace(key, b"new", soon, version)
    assert version is None or not await store.delete(key, version)
    assert (await load(store, key)).data == b"data"


async def test_collecting_goes_in_batches_and_leaves_the_living(
    store: DatabaseStore, control: Any, clock: FakeClock, soon: int
) -> None:
    for _ in range(500):
        await store.create(key_of(new_id()), b"old", int(clock()))
        await store.create(key_of(new_id()), b"live", soon)
    before = await status(control, "Com_delete")
    assert await store.delete_expired(limit=450) == 450
    assert await status(control, "Com_delete") - before == 3
    assert await store.delete_expired() == 50
    assert await query(control, "SELECT DISTINCT data, COUNT(*) FROM session_data GROUP BY data") == [("live", 500)]


async def test_collecting_uses_the_index(mariadb: MariaDBServer, control: Any) -> None:
    for database in ("fresh", "php"):
        statement = rows.FIND_EXPIRED.format(
            session_id="session_id",
            table=f"{database}.session_data",
            modified_at="modified_at",
            created_at="created_at",
        )
        [plan] = await query(control, f"EXPLAIN {statement}", 5, 5, 100)
        assert "session_data_expiry" in plan


# The server, and everybody else on it


async def status(connection: Any, name: str) -> int:
    """A counter of the server's."""
    [(_, value)] = await query(connection, "SHOW GLOBAL STATUS LIKE %s", name)
    return int(value)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(10):
        while not await condition():
            await anyio.sleep(0.01)


async def test_one_round_trip_for_each_operation(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"one", soon)
    version = (await load(store, key)).version
    operations: dict[str, Callable[[], Awaitable[Any]]] = {
        "Com_select": lambda: store.load(key),
        "Com_update": lambda: store.replace(key, b"two", soon, version),
        "Com_insert": lambda: store.create(key_of(new_id()), b"new", soon),
        "Com_delete": lambda: store.delete(key),
    }
    for name, operation in operations.items():
        questions, commands = await status(control, "Questions"), await status(control, name)
        assert await operation()
        assert await status(control, "Questions") - questions == 1 + 2, "what was asked, and two of these"
        assert await status(control, name) - commands == 1
    questions = await status(control, "Questions")
    assert not await store.touch(key, soon)
    assert await status(control, "Questions") - questions == 1 + 1


async def test_no_more_connections_than_allowed(mariadb: MariaDBServer, control: Any, key: str) -> None:
    async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
        async with DatabaseStore(mariadb.url("fresh", proxy.port), pool_size=3) as store:
            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(store.load, key)
            assert proxy.connections <= 3


class StallingProxy(FaultProxy):
    """Takes new connections, and says nothing to them."""

    stalling = False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.stalling:
            self._writers.add(writer)
        else:
            super()._accept(reader, writer)


@pytest.fixture
async def stalling(mariadb: MariaDBServer, control: Any) -> AsyncIterator[StallingProxy]:
    async with StallingProxy("127.0.0.1", mariadb.port) as proxy:
        yield proxy


async def test_a_stalled_connect_blocks_nobody_else(mariadb: MariaDBServer, stalling: StallingProxy, key: str) -> None:
    """Who asked for a connection that never comes gets the next one that is given back."""
    async with DatabaseStore(mariadb.url("fresh", stalling.port)) as store:
        stalling.stalling = True
        with anyio.fail_after(1):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(store.load, key)
            for _ in range(20):
                assert await store.load(key) is None


async def test_a_connect_that_stalls_for_all_ends_in_a_timeout(
    mariadb: MariaDBServer, stalling: StallingProxy, key: str
) -> None:
    stalling.stalling = True
    async with DatabaseStore(mariadb.url("php", mariadb.port)) as other:
        store = DatabaseStore(mariadb.url("fresh", stalling.port), timeout=0.5)
        with pytest.raises(StoreTimeout):
            await store.load(key)
        assert await other.load(key) is None
        stalling.stalling = False
        await store.load(key)
        await store.aclose()


async def test_closing_ends_who_waits_for_a_connection(
    mariadb: MariaDBServer, stalling: StallingProxy, key: str
) -> None:
    store = DatabaseStore(mariadb.url("fresh", stalling.port), pool_size=1)
    stalling.stalling = True
    failures: list[StoreUnavailable] = []

    async def load() -> None:
        with pytest.raises(StoreUnavailable, match="closed") as failure:
            await store.load(key)
        failures.append(failure.value)

    with anyio.fail_after(1):
        async with anyio.create_task_group() as group:
            group.start_soon(load)
            group.start_soon(load)
            await anyio.wait_all_tasks_blocked()
            await store.aclose()
    assert len(failures) == 2


async def test_closing_lets_a_running_operation_end(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"data", soon)
    async with locked(control, key), anyio.create_task_group() as group:
        group.start_soon(store.touch, key, soon + 60)
        await until(lambda: waiting(control, 1))
        await store.aclose()
        await query(control, "ROLLBACK")
    assert await query(control, "SELECT modified_at FROM session_data") == [(soon + 60 - 1209600,)]


async def test_a_connection_idle_for_long_is_replaced(
    mariadb: MariaDBServer, control: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
        async with DatabaseStore(mariadb.url("fresh", proxy.port)) as store:
            await store.load(key)
            assert proxy.connections == 1
            monkeypatch.setattr("starlette_sessions_ext.stores._mysql_pool._IDLE_SECONDS", 0.0)
            await store.load(key)
            assert proxy.connections == 2


@pytest.mark.parametrize("ticks", range(30))
async def test_nobody_loses_a_connection_by_being_cancelled(
    mariadb: MariaDBServer, control: Any, key: str, ticks: int
) -> None:
    """Whether it was waited for, dialed, handed over or in use."""
    async with DatabaseStore(mariadb.url("fresh"), pool_size=2, timeout=1) as store:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(store.load, key)
                for _ in range(ticks):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(store.load, key)


async def test_a_connection_handed_to_somebody_who_just_left_goes_to_the_next(mariadb: MariaDBServer) -> None:
    connections = OwnPool(settings_of(mariadb.url("fresh")), size=1, timeout=1)

    async def use() -> None:
        async with connections.acquire():
            raise AssertionError("it was cancelled before")

    async with connections.acquire() as first:
        task = asyncio.create_task(use())
        await anyio.wait_all_tasks_blocked()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    async with connections.acquire() as second:
        assert second is first
    await connections.aclose()


async def test_killed_connections_are_replaced(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    await store.create(key, b"one", soon)
    for _ in range(3):
        for (number,) in await query(
            control, "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
        ):
            with suppress(asyncmy.errors.OperationalError):  # gone already
                await query(control, f"KILL {number}")
        row = await load(store, key)  # told by the server's farewell, or by the broken connection
        assert await store.replace(key, row.data + b"+", soon, row.version)
    assert (await load(store, key)).data == b"one+++"


@pytest.mark.parametrize("call", ["create", "replace", "delete"])
async def test_a_statement_killed_while_it_waits_was_not_run(
    store: DatabaseStore, control: Any, key: str, soon: int, call: str
) -> None:
    await store.create(key, b"one", soon)
    row = await load(store, key)
    calls: dict[str, Callable[[], Awaitable[bool]]] = {
        "create": lambda: store.create(key, b"two", soon),
        "replace": lambda: store.replace(key, b"two", soon, row.version),
        "delete": lambda: store.delete(key),
    }

    async def refused() -> None:
        with pytest.raises(StoreUnavailable):
            await calls[call]()

    async with locked(control, key), anyio.create_task_group() as group:
        group.start_soon(refused)
        await until(lambda: waiting(control, 1))
        [(number,)] = await query(
            control, "SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        )
        await query(control, f"KILL {number}")
    assert await store.load(key) == row


@asynccontextmanager
async def locked(connection: Any, key: str) -> AsyncIterator[None]:
    """Somebody else's transaction that holds the row."""
    await query(connection, "BEGIN")
    await query(connection, "SELECT 1 FROM session_data WHERE session_id = %s FOR UPDATE", key)
    yield
    await query(connection, "ROLLBACK")


async def waiting(connection: Any, count: int) -> bool:
    """Whether that many transactions wait for a lock."""
    await anyio.sleep(0.12)  # who looks more often than every tenth of a second is shown what they saw before
    [(found,)] = await query(
        connection, "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    )
    return bool(found == count)


async def test_a_row_locked_for_long_ends_in_a_timeout_and_hinders_nobody_else(
    mariadb: MariaDBServer, control: Any, clock: FakeClock, key: str, soon: int
) -> None:
    async with DatabaseStore(mariadb.url("fresh"), timeout=0.6, clock=clock) as store:
        other = key_of(new_id())
        await store.create(key, b"one", soon)
        await store.create(other, b"one", soon)
        row, other_row = await load(store, key), await load(store, other)
        async with locked(control, key):
            calls: list[Callable[[], Awaitable[bool]]] = [
                lambda: store.replace(key, b"two", soon, row.version),
                lambda: store.touch(key, soon + 60),
                lambda: store.delete(key),
            ]
            for call in calls:
                started = time.monotonic()
                with pytest.raises(StoreTimeout):
                    await call()
                assert time.monotonic() - started < 2 * 0.6
                assert await store.load(key) == row
            assert await store.replace(other, b"two", soon, other_row.version)
            await until(lambda: waiting(control, 0))  # the server has given up as well: nothing comes late
        assert await store.load(key) == row
        assert await store.replace(key, b"two", soon, row.version)


async def test_a_wait_for_a_lock_that_ends_in_time_is_no_failure(
    mariadb: MariaDBServer, control: Any, clock: FakeClock, key: str, soon: int
) -> None:
    """The server gives up after a second (error 1205), the store asks again."""
    async with DatabaseStore(mariadb.url("fresh"), timeout=3, clock=clock) as store:
        await store.create(key, b"data", soon)
        touched: list[bool] = []

        async def touch() -> None:
            touched.append(await store.touch(key, soon + 60))

        async with anyio.create_task_group() as group:
            async with locked(control, key):
                before = await status(control, "Com_update")
                group.start_soon(touch)
                await until(lambda: more(control, "Com_update", before + 1))
        assert touched == [True]


async def more(connection: Any, name: str, count: int) -> bool:
    return await status(connection, name) > count


async def test_of_a_deadlock_each_has_its_answer(store: DatabaseStore, control: Any, key: str, soon: int) -> None:
    """Two that wait to insert what a third takes back: InnoDB lets both read, then stops one of them (error 1213)."""
    results: list[bool] = []

    async def create(data: bytes) -> None:
        results.append(await store.create(key, data, soon))

    before = await status(control, "Innodb_deadlocks")
    async with anyio.create_task_group() as group:
        await query(control, "BEGIN")
        await query(control, "INSERT INTO session_data (session_id, data, created_at) VALUES (%s, 'x', %s)", key, soon)
        group.start_soon(create, b"one")
        group.start_soon(create, b"two")
        await until(lambda: waiting(control, 2))
        await query(control, "ROLLBACK")
    assert sorted(results) == [False, True]
    assert await status(control, "Innodb_deadlocks") == before + 1


async def test_what_was_acknowledged_survives_kill_9(mariadb: MariaDBServer, control: Any, soon: int) -> None:
    acknowledged: dict[str, int] = {}
    sent: dict[str, int] = {}
    restarted = False

    async def write(store: DatabaseStore) -> None:
        """Until a write fails, or, where the server was gone between two writes, to the end."""
        key = key_of(new_id())
        with suppress(StoreUnavailable):
            for number in range(1_000_000):
                if restarted:
                    break
                sent[key] = number
                if number == 0:
                    assert await store.create(key, b"0", soon)
                else:
                    assert await store.replace(key, b"%d" % number, soon, (await load(store, key)).version)
                acknowledged[key] = number

    async def enough() -> bool:
        return len(acknowledged) == 8 and sum(acknowledged.values()) > 500

    async with DatabaseStore(mariadb.url("fresh")) as store:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(write, store)
            await until(enough)
            mariadb.stop()
            mariadb.start()
            restarted = True
        for key, number in acknowledged.items():
            assert number <= int((await load(store, key)).data) <= sent[key]


async def test_a_frozen_server_ends_in_a_timeout(mariadb: MariaDBServer, control: Any, key: str) -> None:
    async with DatabaseStore(mariadb.url("fresh"), timeout=0.5) as store:
        with mariadb.frozen(), pytest.raises(StoreTimeout):
            await store.load(key)
        assert await store.load(key) is None


@pytest.mark.parametrize(
    ("code", "kind"), [(1205, StoreTimeout), (1969, StoreTimeout), (1153, SessionTooLarge), (1290, StoreUnavailable)]
)
async def test_errors_are_told_by_number_and_without_the_servers_words(code: int, kind: type[StoreError]) -> None:
    error = as_ours(asyncmy.errors.OperationalError(code, "Duplicate entry 'secret'"), "MySQL at host:3306")
    assert type(error) is kind
    assert str(code) in str(error)
    assert "secret" not in str(error)
