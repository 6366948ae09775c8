"""`PHPDatabaseStore` and `PHPSessionTableStore`: the contract, and what is particular to the tables of PHP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    NotSerializable,
    SessionTooLarge,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php.local_times import LocalTimes
from starlette_sessions_ext.php.mysql import PHPDatabaseStore, PHPSessionTableStore
from starlette_sessions_ext.php.mysql.layouts import PHPSession
from starlette_sessions_ext.stores.base import SessionStore, SupportsListing
from starlette_sessions_ext.testing import FakeClock, FaultProxy
from starlette_sessions_ext.testing.contract.base import load
from starlette_sessions_ext.testing.contract.races import RacesContract

from ..support.asyncio_only import anyio_backend
from ..support.mariadb_server import MariaDBServer
from .contract import PHPIds
from .hits import LIFETIME
from .php_tables import DATABASE, empty_tables, make_tables

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

TOKYO = ZoneInfo("Asia/Tokyo")  # read from the disk once, and not in a test that may not block
AnyStore = PHPDatabaseStore | PHPSessionTableStore
MakeStore = Callable[..., AnyStore]

KINDS: dict[str, MakeStore] = {"session_data": PHPDatabaseStore, "php_session": PHPSessionTableStore}


@pytest.fixture(scope="module")
def tables(mariadb: MariaDBServer) -> str:
    """The URL of a database with the tables as PHP has them."""
    make_tables(mariadb)
    return mariadb.url(DATABASE)


class TablesContract(PHPIds, RacesContract):
    table = ""

    @pytest.fixture
    async def store(self, tables: str, mariadb: MariaDBServer, clock: FakeClock) -> AsyncIterator[Any]:
        empty_tables(tables)
        make = KINDS[self.table.removesuffix("_bytes")]
        async with make(tables, table=self.table, lifetime=LIFETIME, clock=clock) as store:
            yield store


class TestSessionData(TablesContract):
    table = "session_data"

    async def test_any_bytes_come_back(self, store: SessionStore, soon: int) -> None:
        for data in (b"", b"k|i:1;", "Zoë €".encode(), b"\0\1\n\r\x1a'\"\\%s", b"x" * 65_535):
            key = key_of(new_id())
            assert await store.create(key, data, soon)
            assert (await load(store, key)).data == data


class TestPHPSession(TestSessionData):
    table = "php_session"


class TestSessionDataOfBytes(TablesContract):
    table = "session_data_bytes"


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def store(kind: str, tables: str, clock: FakeClock) -> AsyncIterator[AnyStore]:
    empty_tables(tables)
    async with KINDS[kind](tables, clock=clock) as store:
        yield store


def rows(mariadb: MariaDBServer, table: str) -> list[str]:
    return mariadb.run(f"SELECT * FROM {table}", DATABASE).splitlines()


async def test_a_row_is_what_the_database_adapter_would_write(
    tables: str, mariadb: MariaDBServer, key: str, clock: FakeClock, soon: int
) -> None:
    empty_tables(tables)
    now = int(clock())
    async with PHPDatabaseStore(tables, clock=clock) as store:
        assert await store.create(key, b"k|i:1;", soon)
        assert rows(mariadb, "session_data") == [f"{key}\tk|i:1;\t{now}\tNULL"]
        clock.advance(60)
        assert await store.replace(key, b"", soon + 60, b"k|i:1;")
        assert rows(mariadb, "session_data") == [f"{key}\t\t{now}\t{now + 60}"]
        assert (await load(store, key)).expires_at == soon + 60


async def test_a_row_is_what_the_handlersocket_adapter_would_write(
    tables: str, mariadb: MariaDBServer, key: str, clock: FakeClock, soon: int
) -> None:
    empty_tables(tables)
    async with PHPSessionTableStore(tables, timezone="Asia/Tokyo", clock=clock) as store:
        assert await store.create(key, b"k|i:1;", soon)
        local = datetime.fromtimestamp(int(clock()), TOKYO).strftime("%Y-%m-%d %H:%M:%S")
        assert rows(mariadb, "php_session") == [f"{key}\t{local}\tk|i:1;"]
        assert (await load(store, key)).expires_at == soon


def test_an_hour_that_clocks_go_through_twice_ends_no_session() -> None:
    layout = PHPSession(database=None, table="php_session", local_times=LocalTimes("Europe/Berlin"))
    first = int(datetime(2026, 10, 25, 0, 30, tzinfo=ZoneInfo("UTC")).timestamp())
    assert layout.to_column(first) == layout.to_column(first + 3600) == "2026-10-25 02:30:00"
    assert layout.from_column("2026-10-25 02:30:00") == first + 3600


async def test_an_id_that_the_collation_takes_for_another_opens_nothing(
    store: AnyStore, tables: str, key: str, soon: int
) -> None:
    """Under utf8_general_ci upper and lower case are the same."""
    mine, other = key, key.upper()
    assert await store.create(mine, b"k|i:1;", soon)
    assert await store.load(other) is None
    assert not await store.replace(other, b"k|i:2;", soon, b"k|i:1;")
    assert not await store.touch(other, soon + 60)
    assert not await store.delete(other)
    assert not await store.create(other, b"k|i:2;", soon)
    assert (await load(store, mine)).data == b"k|i:1;"


async def test_equal_bytes_of_two_requests_are_two_writes(store: AnyStore, key: str, soon: int) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:2;")


async def test_characters_that_the_column_hasnt_are_refused(store: AnyStore, key: str, soon: int) -> None:
    assert await store.create(key, b"", soon)
    for data in ('k|s:4:"🐘";'.encode(), b'k|s:1:"\xff";'):
        with pytest.raises(NotSerializable):
            await store.replace(key, data, soon, b"")
    assert (await load(store, key)).data == b""


@pytest.mark.parametrize(("charset", "takes_emoji"), [("utf8mb4", True), ("utf8", False), ("latin1", True)])
async def test_the_connection_of_php_may_have_another_charset(
    tables: str, mariadb: MariaDBServer, key: str, soon: int, clock: FakeClock, charset: str, takes_emoji: bool
) -> None:
    async with PHPDatabaseStore(tables, table="wide_data", charset=charset, clock=clock) as store:
        data = 'k|s:4:"🐘";'.encode()
        if not takes_emoji:
            with pytest.raises(NotSerializable, match="U\\+FFFF"):
                await store.create(key, data, soon)
            return
        assert await store.create(key, data, soon)
        assert (await load(store, key)).data == data
        assert await store.replace(key, b"\x80\x81 \xff" if charset == "latin1" else data, soon, data)


async def test_what_the_server_refuses_is_refused_here(
    tables: str, key: str, soon: int, clock: FakeClock, mariadb: MariaDBServer
) -> None:
    """A column of Latin-1 has no Chinese."""
    async with PHPDatabaseStore(tables, table="latin_data", clock=clock) as store:
        with pytest.raises(NotSerializable, match="character set"):
            await store.create(key, 'k|s:3:"中";'.encode(), soon)
        assert await store.create(key, 'k|s:2:"é";'.encode(), soon)
        assert (await load(store, key)).data == 'k|s:2:"é";'.encode()


async def test_what_the_columns_cant_hold_is_refused(store: AnyStore, key: str, soon: int) -> None:
    for _ in range(2):
        with pytest.raises(SessionTooLarge):
            await store.create(key, b"x" * 65_536, soon)
    with pytest.raises(ConfigurationError, match="sid_length"):
        await store.create("a" * 40, b"", soon)
    assert store.max_data_bytes == 65_535


async def test_a_row_that_is_too_large_isnt_read(tables: str, kind: str, key: str, soon: int, clock: FakeClock) -> None:
    async with KINDS[kind](tables, clock=clock) as store:
        assert await store.create(key, b"x" * 101, soon)
    async with KINDS[kind](tables, clock=clock, max_data_bytes=100) as store:
        with pytest.raises(CorruptRecord, match="max_data_bytes"):
            await store.load(key)


async def test_a_row_without_data_or_time_is_none(
    tables: str, mariadb: MariaDBServer, key: str, clock: FakeClock
) -> None:
    empty_tables(tables)
    async with PHPSessionTableStore(tables, clock=clock) as store:
        mariadb.run(f"INSERT INTO php_session VALUES ('{key}', '2999-01-01 00:00:00', NULL)", DATABASE)
        assert await store.load(key) is None
        mariadb.run("SET sql_mode = ''; UPDATE php_session SET data = '', modified = 'no date'", DATABASE)
        assert await store.load(key) is None
        assert await store.delete_expired() == 1


async def test_expired_rows_are_collected(store: AnyStore, soon: int, clock: FakeClock) -> None:
    assert await store.delete_expired() == 0
    for number in range(150):
        assert await store.create(key_of(new_id()), b"", soon + number // 100 * LIFETIME)
    clock.advance(LIFETIME)
    assert await store.delete_expired() == 100
    assert isinstance(store, SupportsListing)
    assert len([key async for key in store.all_keys()]) == 50


async def test_ids_that_arent_phps_are_left_out(store: AnyStore, kind: str, mariadb: MariaDBServer) -> None:
    times = "1, NULL" if kind == "session_data" else "''"
    values = f"'short', '', {times}" if kind == "session_data" else "'short', '2026-01-01', ''"
    mariadb.run(f"INSERT INTO {kind} VALUES ({values})", DATABASE)
    assert [key async for key in store.all_keys()] == []


async def test_a_lost_connection_is_made_again(tables: str, mariadb: MariaDBServer, key: str, soon: int) -> None:
    async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
        async with PHPDatabaseStore(mariadb.url(DATABASE, proxy.port)) as store:
            await store.load(key)
            proxy.reset()
            assert await store.load(key) is None


async def test_a_write_whose_answer_is_lost_isnt_sent_again(
    tables: str, mariadb: MariaDBServer, key: str, soon: int, clock: FakeClock
) -> None:
    """Equal bytes may be another request's. So the store can't know, and says so."""
    async with FaultProxy("127.0.0.1", mariadb.port) as proxy:
        async with PHPDatabaseStore(mariadb.url(DATABASE, proxy.port), timeout=0.6, clock=clock) as store:
            assert await store.create(key, b"n|i:1;", soon)
            proxy.drop_reply()
            with pytest.raises(StoreUnavailable):
                await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
            proxy.heal()
            assert (await load(store, key)).data == b"n|i:2;"


@pytest.mark.parametrize("table", ["absent", "no_data"])
async def test_a_table_that_isnt_phps_is_refused(tables: str, table: str) -> None:
    with pytest.raises(ConfigurationError, match="name the table that PHP uses"):
        async with PHPDatabaseStore(tables, table=table):
            pass


async def test_an_error_of_the_server_is_one_of_the_store(tables: str, mariadb: MariaDBServer, key: str) -> None:
    async with PHPDatabaseStore(tables, column_created_at="other") as store:  # a column that isn't there
        with pytest.raises(StoreUnavailable):
            await store.load(key)
        with pytest.raises(StoreUnavailable):
            await store.create(key, b"", 2**31)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": 5}, "mysql://"),
        ({"charset": "koi8r"}, "charset"),
        ({"table": "a b"}, "table"),
        ({"lifetime": 0}, "lifetime"),
        ({"timeout": 0}, "timeout"),
    ],
)
@pytest.mark.parametrize("make", KINDS.values(), ids=list(KINDS))
def test_what_cant_work_is_refused(make: MakeStore, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make(**{"url": "mysql://u:p@h/d", **options})


@pytest.mark.parametrize("timezone", ["Mars/Base", "../etc", None, ""])
def test_a_time_zone_that_php_hasnt_is_refused(timezone: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"date\.timezone"):
        PHPSessionTableStore("mysql://u:p@h/d", timezone=timezone)


async def test_the_size_of_the_column_holds_from_the_first_write_on(
    tables: str, kind: str, key: str, soon: int, clock: FakeClock
) -> None:
    store = KINDS[kind](tables, clock=clock, max_data_bytes=None)
    with pytest.raises(SessionTooLarge, match="MEDIUMTEXT"):
        await store.create(key, b"x" * 65_536, soon)
    assert store.max_data_bytes == 65_535
    await store.aclose()
