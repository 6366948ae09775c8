"""`PHPHandlerSocketStore`: the contract, and what is particular to PHP's table through HandlerSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import (
    ConfigurationError,
    CorruptRecord,
    NotSerializable,
    SessionTooLarge,
    StoreTimeout,
    StoreUnavailable,
)
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.handlersocket import Client, Where
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore, claims
from starlette_sessions_ext.php.local_times import LocalTimes
from starlette_sessions_ext.stores.base import SessionStore, SupportsListing
from starlette_sessions_ext.stores.handlersocket.ports import Ports
from starlette_sessions_ext.testing import FakeClock, FaultProxy
from starlette_sessions_ext.testing.contract.base import load
from starlette_sessions_ext.testing.contract.races import RacesContract

from ..support.asyncio_only import anyio_backend
from ..support.mariadb_server import MariaDBServer, empty
from .contract import PHPIds
from .hits import LIFETIME
from .php_tables import DATABASE, make_tables

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

TOKYO = LocalTimes("Asia/Tokyo")  # read from the disk once, and not in a test that may not block
TABLES = """
    DROP TABLE IF EXISTS php_session_wide, php_session_bytes, php_session_small, php_session_dates, php_session_latin;
    CREATE TABLE php_session_wide LIKE php_session;
    ALTER TABLE php_session_wide MODIFY data mediumtext CHARACTER SET utf8mb4,
        MODIFY id varchar(256) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;
    CREATE TABLE php_session_bytes LIKE php_session;
    ALTER TABLE php_session_bytes MODIFY data blob;
    CREATE TABLE php_session_small LIKE php_session;
    ALTER TABLE php_session_small MODIFY id varchar(26), MODIFY data varchar(100);
    CREATE TABLE php_session_dates LIKE php_session;
    ALTER TABLE php_session_dates MODIFY modified timestamp NOT NULL DEFAULT current_timestamp();
"""


@pytest.fixture(scope="module")
def tables(mariadb: MariaDBServer) -> str:
    """The URL of a database with the table as PHP has it, and others."""
    make_tables(mariadb)
    mariadb.run(f"SET sql_mode = ''; {TABLES}", DATABASE)
    return mariadb.url(DATABASE)


def make_store(server: MariaDBServer, **options: Any) -> PHPHandlerSocketStore:
    settings: dict[str, Any] = {"port": server.hs_port, "port_wr": server.hs_port_wr, "dbname": DATABASE}
    settings |= {"secret": server.hs_secret, "secret_wr": server.hs_secret_wr}
    return PHPHandlerSocketStore("127.0.0.1", **{**settings, **options})


class TableContract(PHPIds, RacesContract):
    table = ""

    @pytest.fixture
    async def store(self, tables: str, mariadb: MariaDBServer, clock: FakeClock) -> AsyncIterator[Any]:
        empty(tables, self.table)
        async with make_store(mariadb, dbtable=self.table, clock=clock) as store:
            yield store


class TestTable(TableContract):
    """As the README of the adapter prints it."""

    table = "php_session"

    async def test_any_bytes_come_back(self, store: SessionStore, soon: int) -> None:
        for data in (b"", b"k|i:1;", "Zoë €".encode(), b"\0\1\n\r\x1a'\"\\\t%s", b"x" * 65_535):
            key = key_of(new_id())
            assert await store.create(key, data, soon)
            assert (await load(store, key)).data == data


class TestTableOfBytes(TableContract):
    table = "php_session_bytes"


@pytest.fixture
async def store(tables: str, mariadb: MariaDBServer, clock: FakeClock) -> AsyncIterator[PHPHandlerSocketStore]:
    empty(tables, "php_session")
    async with make_store(mariadb, clock=clock) as store:
        yield store


def rows(mariadb: MariaDBServer) -> list[str]:
    return mariadb.run("SELECT * FROM php_session", DATABASE).splitlines()


async def test_a_row_is_what_the_adapter_would_write(
    tables: str, mariadb: MariaDBServer, key: str, clock: FakeClock, soon: int
) -> None:
    empty(tables, "php_session")
    async with make_store(mariadb, timezone="Asia/Tokyo", clock=clock) as store:
        assert await store.create(key, b"k|i:1;", soon)
        assert rows(mariadb) == [f"{key}\t{TOKYO.to_text(int(clock()))}\tk|i:1;"]
        assert await store.replace(key, b"", soon + 60, b"k|i:1;")
        assert rows(mariadb) == [f"{key}\t{TOKYO.to_text(int(clock()) + 60)}\t"]
        assert (await load(store, key)).expires_at == soon + 60


async def test_an_id_that_the_collation_takes_for_another_opens_and_changes_nothing(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, soon: int
) -> None:
    mine, other = key, key.upper()
    assert await store.create(mine, b"k|i:1;", soon)
    before = rows(mariadb)
    assert await store.load(other) is None
    assert not await store.replace(other, b"k|i:2;", soon, b"k|i:1;")
    assert not await store.touch(other, soon + 60)
    assert not await store.delete(other)
    assert not await store.create(other, b"k|i:2;", soon)
    assert rows(mariadb) == before


async def test_equal_bytes_of_two_requests_are_two_writes(store: PHPHandlerSocketStore, key: str, soon: int) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:2;")


async def run_sql(mariadb: MariaDBServer, statement: str) -> None:
    await anyio.to_thread.run_sync(mariadb.run, statement, DATABASE)


# Between a claim and its write


Interfere = Callable[[], Awaitable[object]]


@pytest.fixture
def after_claim(monkeypatch: pytest.MonkeyPatch) -> list[Interfere]:
    """What happens, once each, when a row has been claimed and not yet written."""
    due: list[Interfere] = []
    write = Ports.write

    async def observed(ports: Ports, request: Any, *arguments: Any) -> Any:
        values = arguments[-1]
        is_write = request in (Client.fetch_and_update, Client.fetch_and_delete) and _claim_of(arguments[1])
        if is_write and due and not (isinstance(values, tuple) and len(values) == 1):
            await due.pop()()
        return await write(ports, request, *arguments)

    monkeypatch.setattr(Ports, "write", observed)
    return due


def _claim_of(where: Where) -> bool:
    return len(where.filters) == 1 and claims.is_claim(str(where.filters[0].value))


async def test_what_php_writes_behind_a_claim_is_kept(
    store: PHPHandlerSocketStore,
    mariadb: MariaDBServer,
    key: str,
    clock: FakeClock,
    soon: int,
    after_claim: list[Interfere],
) -> None:
    """PHP looks at no claim. It sets `modified`, and so takes the claim away."""
    now = LocalTimes("UTC").to_text(int(clock()))

    async def php() -> None:
        await run_sql(mariadb, f"UPDATE php_session SET modified = '{now}', data = 'n|i:9;' WHERE id = '{key}'")

    assert await store.create(key, b"n|i:1;", soon)
    after_claim.append(php)
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert rows(mariadb) == [f"{key}\t{now}\tn|i:9;"]
    after_claim.append(php)
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    after_claim.append(php)
    assert not await store.delete(key, b"n|i:1;")
    assert rows(mariadb) == [f"{key}\t{now}\tn|i:9;"]


async def test_a_claim_that_a_touch_of_php_took_away_is_made_again(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, soon: int, after_claim: list[Interfere]
) -> None:
    """The adapter writes the same data with a new time when a page has changed nothing."""

    async def php() -> None:
        await run_sql(mariadb, f"UPDATE php_session SET modified = '2999-01-01 00:00:00' WHERE id = '{key}'")

    assert await store.create(key, b"n|i:1;", soon)
    after_claim.append(php)
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert (await load(store, key)).data == b"n|i:2;"


async def test_the_end_of_a_session_behind_a_claim_is_final(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, soon: int, after_claim: list[Interfere]
) -> None:
    async def php() -> None:
        await run_sql(mariadb, f"DELETE FROM php_session WHERE id = '{key}'")

    assert await store.create(key, b"n|i:1;", soon)
    after_claim.append(php)
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert rows(mariadb) == []


async def claim(mariadb: MariaDBServer, key: str, at: float) -> str:
    """Leave a row as a process leaves it that is killed between its claim and its write."""
    text = claims.new_claim(int(at))
    mariadb.run(f"UPDATE php_session SET modified = '{text}' WHERE id = '{key}'", DATABASE)
    return text


async def test_a_claim_is_left_to_its_writer(
    store: PHPHandlerSocketStore,
    mariadb: MariaDBServer,
    key: str,
    clock: FakeClock,
    soon: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    theirs = await claim(mariadb, key, clock())
    looks = []
    write = Ports.write

    async def observed(ports: Ports, request: Any, *arguments: Any) -> Any:
        found = await write(ports, request, *arguments)
        looks.append(request)
        if len(looks) == 1:
            now = LocalTimes("UTC").to_text(int(clock()))
            change = f"UPDATE php_session SET data = 'n|i:5;', modified = '{now}' WHERE modified = '{theirs}'"
            await run_sql(mariadb, change)
        return found

    monkeypatch.setattr(Ports, "write", observed)
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert (await load(store, key)).data == b"n|i:5;"


async def test_a_claim_of_a_killed_process_holds_up_a_write_for_a_moment(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, clock: FakeClock, soon: int
) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    await claim(mariadb, key, clock())
    row = await load(store, key)
    assert row.data == b"n|i:1;"
    assert 0 <= row.expires_at - soon < 128
    assert await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert (await load(store, key)).expires_at == soon
    await claim(mariadb, key, clock())
    assert await store.touch(key, soon + 60)
    assert (await load(store, key)).expires_at == soon + 60
    await claim(mariadb, key, clock())
    assert not await store.replace(key, b"n|i:3;", soon, b"n|i:1;")
    assert await store.delete(key)


async def test_a_row_that_was_claimed_expires_and_is_collected(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, clock: FakeClock, soon: int
) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    await claim(mariadb, key, clock())
    assert await store.delete_expired() == 0
    clock.advance(LIFETIME + 128)
    assert await store.load(key) is None
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert await store.delete_expired() == 1
    assert rows(mariadb) == []


async def test_a_claim_on_other_data_is_given_back(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, soon: int
) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    before = rows(mariadb)
    assert not await store.replace(key, b"n|i:2;", soon, b"n|i:0;")
    assert rows(mariadb) == before


def test_a_claim_says_when_it_was_made(clock: FakeClock) -> None:
    for now in (0, int(clock()), 6_900_000_000):
        for _ in range(100):
            made = claims.new_claim(now)
            assert claims.is_claim(made)
            assert 0 <= claims.claimed_at(made) - now < 128
    assert not claims.is_claim("2999-12-31 23:59:59")
    assert claims.claimed_at(claims.last_claim(1000)) == 1000


# What doesn't fit


async def test_characters_that_the_column_hasnt_are_refused(store: PHPHandlerSocketStore, key: str, soon: int) -> None:
    """HandlerSocket would store question marks."""
    assert await store.create(key, b"", soon)
    for data in ('k|s:4:"🐘";'.encode(), b'k|s:1:"\xff";'):
        with pytest.raises(NotSerializable):
            await store.replace(key, data, soon, b"")
        with pytest.raises(NotSerializable):
            await store.create(key_of(new_id()), data, soon)
    assert (await load(store, key)).data == b""


async def test_a_wide_column_takes_an_emoji(
    tables: str, mariadb: MariaDBServer, key: str, soon: int, clock: FakeClock
) -> None:
    data = 'k|s:4:"🐘";'.encode()
    async with make_store(mariadb, dbtable="php_session_wide", clock=clock) as store:
        assert await store.create(key, data, soon)
        assert (await load(store, key)).data == data
        assert await store.create("a" * 256, b"x" * 70_000, soon)
        assert (await load(store, "a" * 256)).data == b"x" * 70_000
        with pytest.raises(NotSerializable):
            await store.create(key_of(new_id()), b"\xff", soon)
        assert [finding.problem for finding in await store.diagnose()] == []


async def test_what_the_columns_would_cut_is_refused(store: PHPHandlerSocketStore, key: str, soon: int) -> None:
    """HandlerSocket would cut it without a word."""
    for _ in range(2):
        with pytest.raises(SessionTooLarge):
            await store.create(key, b"x" * 65_536, soon)
    with pytest.raises(ConfigurationError, match="sid_length"):
        await store.create("a" * 40, b"", soon)
    assert store.max_data_bytes == 65_535


async def test_the_size_of_the_column_holds_from_the_first_write_on(
    tables: str, mariadb: MariaDBServer, key: str, soon: int, clock: FakeClock
) -> None:
    store = make_store(mariadb, dbtable="php_session_small", clock=clock, max_data_bytes=None)
    with pytest.raises(SessionTooLarge, match="MEDIUMTEXT"):
        await store.create("a" * 26, b"x" * 101, soon)
    assert store.max_data_bytes == 100
    assert [finding.problem[:35] for finding in await store.diagnose()] == [
        "the ids have a collation, to which ",
        "the column of the ids holds 26 char",
        "the data are utf8mb3: an emoji that",
    ]
    await store.aclose()


async def test_a_row_that_is_too_large_isnt_read(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, soon: int, clock: FakeClock
) -> None:
    assert await store.create(key, b"x" * 101, soon)
    async with make_store(mariadb, clock=clock, max_data_bytes=100) as other:
        with pytest.raises(CorruptRecord, match="max_data_bytes"):
            await other.load(key)


async def test_a_row_without_data_or_time_is_none(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, soon: int
) -> None:
    mariadb.run(f"INSERT INTO php_session VALUES ('{key}', '2999-01-01 00:00:00', NULL)", DATABASE)
    assert await store.load(key) is None
    assert not await store.create(key, b"", soon)
    mariadb.run("SET sql_mode = ''; UPDATE php_session SET data = '', modified = 'no date'", DATABASE)
    assert await store.load(key) is None
    assert await store.delete_expired() == 1


async def test_expired_rows_are_collected(store: PHPHandlerSocketStore, soon: int, clock: FakeClock) -> None:
    assert await store.delete_expired() == 0
    for number in range(150):
        assert await store.create(key_of(new_id()), b"", soon + number // 100 * 2 * LIFETIME)
    clock.advance(2 * LIFETIME + 1)
    assert "100 sessions that ended" in (await store.diagnose())[-1].problem
    assert await store.delete_expired() == 100
    assert isinstance(store, SupportsListing)
    assert len([key async for key in store.all_keys()]) == 50


async def test_ids_that_arent_phps_are_left_out(store: PHPHandlerSocketStore, mariadb: MariaDBServer) -> None:
    mariadb.run("INSERT INTO php_session VALUES ('short', '2999-01-01', '')", DATABASE)
    assert [key async for key in store.all_keys()] == []


# Faults


async def test_a_write_whose_answer_is_lost_isnt_sent_again(
    tables: str, mariadb: MariaDBServer, key: str, soon: int, clock: FakeClock, after_claim: list[Interfere]
) -> None:
    """Equal bytes may be another request's. So the store can't know, and says so."""
    async with FaultProxy("127.0.0.1", mariadb.hs_port_wr) as proxy:
        async with make_store(mariadb, port_wr=proxy.port, timeout=2, clock=clock) as store:
            assert await store.create(key, b"n|i:1;", soon)

            async def lose() -> None:
                proxy.drop_reply()

            after_claim.append(lose)
            with pytest.raises(StoreUnavailable):
                await store.replace(key, b"n|i:2;", soon, b"n|i:1;")
            proxy.heal()
            assert (await load(store, key)).data == b"n|i:2;"


async def test_a_frozen_server_ends_in_a_timeout(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str, soon: int, clock: FakeClock
) -> None:
    assert await store.create(key, b"n|i:1;", soon)
    async with make_store(mariadb, timeout=1, clock=clock) as hasty:
        with mariadb.frozen(), anyio.fail_after(60):
            with pytest.raises(StoreTimeout):
                await hasty.load(key)
            with pytest.raises(StoreTimeout):
                await hasty.replace(key, b"n|i:2;", soon, b"n|i:1;")
    assert (await load(store, key)).data in (b"n|i:1;", b"n|i:2;")


async def test_an_alter_table_gets_through_while_the_store_is_drained(
    store: PHPHandlerSocketStore, mariadb: MariaDBServer, key: str
) -> None:
    await store.load(key)
    await store.drain(hold=0)
    mariadb.run("ALTER TABLE php_session COMMENT 'altered'", DATABASE)


@pytest.mark.parametrize("table", ["absent", "session_data", "no_data"])
async def test_a_table_that_isnt_phps_is_refused(tables: str, mariadb: MariaDBServer, table: str) -> None:
    with pytest.raises(ConfigurationError, match="name the table that PHP uses"):
        async with make_store(mariadb, dbtable=table):
            pass


async def test_a_column_that_holds_no_claims_is_refused(tables: str, mariadb: MariaDBServer) -> None:
    with pytest.raises(ConfigurationError, match="DATETIME"):
        async with make_store(mariadb, dbtable="php_session_dates"):
            pass
    assert mariadb.run("SELECT * FROM php_session_dates", DATABASE) == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": ""}, "host"),
        ({"port_wr": "9999"}, "port_wr"),
        ({"dbtable": "a b"}, "dbtable"),
        ({"lifetime": 0}, "lifetime"),
        ({"timeout": 0}, "timeout"),
        ({"timezone": "Mars/Base"}, r"date\.timezone"),
    ],
)
def test_what_cant_work_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PHPHandlerSocketStore(**options)


async def test_a_version_of_another_store_finds_nothing(store: PHPHandlerSocketStore, key: str, soon: int) -> None:
    assert not await store.replace(key, b"", soon, 5)
    assert not await store.delete(key, 5)
