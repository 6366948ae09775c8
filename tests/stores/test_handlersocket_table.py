"""What a HandlerSocketStore is given, and the table that it finds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import (
    ConfigurationError,
    HandlerSocketStore,
    SessionTooLarge,
    Stored,
    StoreUnavailable,
    store_from_url,
)
from starlette_sessions_ext.cli import main
from starlette_sessions_ext.handlersocket import Pool
from starlette_sessions_ext.stores._handlersocket_sql import _settings_findings

from ..mariadb_server import MariaDBServer
from .handlersocket_store import make_store

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def table(mariadb: MariaDBServer) -> Iterator[MariaDBServer]:
    """An empty `php_session` of its own, in the database `other`."""
    mariadb.run("CREATE OR REPLACE TABLE php_session LIKE fresh.php_session", "other")
    yield mariadb
    mariadb.run("DROP TABLE IF EXISTS php_session", "other")


BOTH = {"probing": False, "SQL": True}
CHANGES = {
    "no version": ("DROP COLUMN version", "ADD COLUMN `?version`? BIGINT UNSIGNED NOT NULL DEFAULT 0"),
    "a lax id": (
        "MODIFY id VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
        "takes different ids for one",
    ),
    "a short id": ("MODIFY id VARCHAR(31) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", "shorter than a key's 32"),
    "a timestamp": ("MODIFY modified TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP", "date and time of any year"),
    "a date": ("MODIFY modified DATE NOT NULL", "date and time of any year"),
    "short data": ("MODIFY data TINYTEXT", "4096 bytes"),
    "a short version": ("MODIFY version INT UNSIGNED NOT NULL DEFAULT 0", "can't hold a version"),
}


@pytest.mark.parametrize("over_sql", BOTH.values(), ids=list(BOTH))
@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=list(CHANGES))
async def test_P8_open_refuses_a_table_and_says_what_mends_it(
    table: MariaDBServer, key: str, soon: int, change: str, message: str, over_sql: bool
) -> None:
    table.run(f"ALTER TABLE php_session {change}", "other")
    options = {"mysql_url": table.url("other")} if over_sql else {}
    store = make_store(table, "other", **options)
    with pytest.raises(ConfigurationError, match=message) as refusal:
        await store.open()
    with pytest.raises(ConfigurationError):
        await store.create(key, b"data", soon)
    await store.aclose()
    assert table.run("SELECT * FROM php_session", "other") == ""
    table.run("ALTER" + str(refusal.value).rpartition("ALTER")[2], "other")
    async with make_store(table, "other", **options) as mended:
        assert await mended.create(key, b"data", soon)


async def test_a_table_that_isnt_there(mariadb: MariaDBServer) -> None:
    with pytest.raises(ConfigurationError, match="sessions-ext migrate"):
        await make_store(mariadb, "other").open()
    with pytest.raises(ConfigurationError, match="CREATE TABLE") as refusal:
        await make_store(mariadb, "other", dbtable="php_session", mysql_url=mariadb.url("other"))._sql.check()  # type: ignore[union-attr]
    mariadb.run(str(refusal.value).partition("Make it: ")[2], "other")
    try:
        async with make_store(mariadb, "other", mysql_url=mariadb.url("other")):
            pass
    finally:
        mariadb.run("DROP TABLE php_session", "other")


async def test_a_table_without_an_index_for_collecting(table: MariaDBServer) -> None:
    table.run("ALTER TABLE php_session DROP KEY modified", "other")
    with pytest.raises(ConfigurationError, match="ADD KEY") as refusal:
        await make_store(table, "other").open()
    table.run("ALTER" + str(refusal.value).rpartition("ALTER")[2], "other")
    await (store := make_store(table, "other")).open()
    await store.aclose()


@pytest.mark.parametrize("over_sql", BOTH.values(), ids=list(BOTH))
@pytest.mark.parametrize(("type", "largest"), [("TEXT", 65_535), ("VARCHAR(20000)", 20_000), ("MEDIUMTEXT", 1_000_000)])
async def test_S3_what_doesnt_fit_is_refused_since_the_server_would_cut_it(
    table: MariaDBServer, key: str, soon: int, type: str, largest: int, over_sql: bool
) -> None:
    table.run(f"ALTER TABLE php_session MODIFY data {type} CHARACTER SET latin1", "other")
    options = {"mysql_url": table.url("other")} if over_sql else {}
    async with make_store(table, "other", max_data_bytes=1_000_000, **options) as store:
        assert store.max_data_bytes == largest
        await store.create(key, b"x" * largest, soon)
        row = await store.load(key)
        assert row is not None
        assert row.data == b"x" * largest
        for too_large in (b"x" * (largest + 1), b"\xff" * largest):  # bytes that aren't text take a third more
            if len(too_large) == 1_000_000:
                continue
            with pytest.raises(SessionTooLarge):
                await store.replace(key, too_large, soon, row.version)
        assert await store.load(key) == row


async def test_P6_a_wrong_secret_is_one_clear_error_without_it(mariadb: MariaDBServer, key: str) -> None:
    for wrong in ({"secret": "canary"}, {"secret_wr": "canary"}, {"secret": None}):
        store = make_store(mariadb, **wrong)
        with pytest.raises(StoreUnavailable, match="refuses the secret: give secret= and secret_wr=") as failure:
            await store.open()
        assert "canary" not in f"{failure.value!r}{failure.value}{store!r}{store._ports!r}"
        await store.aclose()


async def test_P8_the_log_warns_of_settings_that_lose_writes(
    mariadb: MariaDBServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_store(mariadb, mysql_url=mariadb.url("fresh")):
        assert "innodb_flush_log_at_trx_commit is 2" in caplog.text


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("log_bin", "ON", "no replica gets sessions"),
        ("wsrep_on", "ON", "one node of the cluster"),
        ("handlersocket_address", "", "stop it with one byte"),
    ],
)
def test_P8_settings_that_lose_or_expose_sessions(setting: str, value: str, problem: str) -> None:
    good = {"log_bin": "OFF", "wsrep_on": "OFF", "handlersocket_address": "127.0.0.1"}
    assert not list(_settings_findings(good))
    [finding] = _settings_findings({**good, setting: value})
    assert problem in finding.problem


async def test_doctor(mariadb: MariaDBServer, capsys: pytest.CaptureFixture[str]) -> None:
    url = mariadb.handlersocket_url("fresh")
    assert await _doctor(url) == 0
    assert await _doctor(f"{url}&mysql_url={mariadb.url('fresh').replace('%', '%25')}") == 1
    assert "SET GLOBAL innodb_flush_log_at_trx_commit = 1" in capsys.readouterr().out


async def _doctor(url: str) -> int:
    return await anyio.to_thread.run_sync(main, ["doctor", url])


async def test_sql_that_cant_be_reached(mariadb: MariaDBServer) -> None:
    url = mariadb.url("fresh").replace("tester:", "nobody:")
    with pytest.raises(StoreUnavailable, match="1045"):
        async with make_store(mariadb, mysql_url=url):
            pass


@pytest.mark.parametrize(
    "settings",
    [
        {"dbtable": "php session"},
        {"dbtable": "a\tb"},
        {"dbname": "a,b"},
        {"dbname": "x" * 65},
        {"dbname": ""},
        {"dbname": None},
        {"lifetime": 0},
        {"lifetime": True},
        {"lifetime": timedelta(days=20_000)},
        {"pool_size": 0},
        {"mysql_url": "mysql://"},
    ],
)
async def test_S6_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        HandlerSocketStore(**settings)


async def test_the_php_adapters_cookie_options_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    HandlerSocketStore(cookie_path="/", cookie_domain="", lifetime=timedelta(hours=1))
    assert not caplog.text
    HandlerSocketStore(cookie_path="/shop", cookie_domain="example.com")
    assert "give SessionMiddleware path and domain" in caplog.text


def test_looking_over_sql_needs_a_driver() -> None:
    code = """if 1:
        import sys
        sys.modules["asyncmy"] = None
        from starlette_sessions_ext import HandlerSocketStore
        HandlerSocketStore()
        HandlerSocketStore(mysql_url="mysql://user@localhost/app")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        'ImportError: mysql_url needs asyncmy: pip install "starlette-sessions-ext[mysql]"'
    )


# URLs


def test_a_url_says_all_that_a_store_needs() -> None:
    store: Any = store_from_url("handlersocket://:a%2Fb@db.internal:1/app/web?port_wr=2&secret_wr=c")
    assert store._address == ("db.internal", 1, 2, "a/b", "c")
    assert (store._indexes.rows.database, store._indexes.rows.table) == ("app", "web")


def test_what_a_url_leaves_out_is_as_in_the_adapter() -> None:
    store: Any = store_from_url("handlersocket://")
    assert store._address == ("localhost", 9998, 9999, None, None)
    assert (store._indexes.rows.database, store._indexes.rows.table) == ("session", "php_session")
    assert store._lifetime == 3600
    same: Any = store_from_url("handlersocket://:one@host", lifetime=60)
    assert (same._address.secret_wr, same._lifetime) == ("one", 60)


@pytest.mark.parametrize(
    "url",
    [
        *("handlersocket://user:secret@host", "handlersocket://host:port", "handlersocket://host?port_wr=x"),
        *("handlersocket://host?timeout=1", "handlersocket://host?x"),
    ],
)
def test_a_bad_url_is_explained(url: str) -> None:
    with pytest.raises(ConfigurationError, match="handlersocket://:secret@host:9998/database/table"):
        store_from_url(url)


def test_every_event_loop_gets_connections_of_its_own(mariadb: MariaDBServer, key: str, soon: int) -> None:
    store = make_store(mariadb)

    async def write_and_read() -> Stored | None:
        await store.create(key, b"data", soon)
        row = await store.load(key)
        await store.aclose()
        return row

    for _ in range(3):
        row = anyio.run(write_and_read)
        assert row is not None
        assert row.data == b"data"


async def test_the_end_of_an_event_loop_is_the_end_of_its_connections(mariadb: MariaDBServer, key: str) -> None:
    store = make_store(mariadb)
    pools: list[Pool] = []

    async def leave_it_open() -> None:
        await store.load(key)
        assert store._ports is not None
        pools.extend((store._ports.reading, store._ports.writing))

    async def close_pools() -> None:
        for pool in pools:
            await pool.aclose()

    def elsewhere() -> None:
        with asyncio.Runner() as runner:
            runner.run(leave_it_open())
            runner.run(close_pools())

    await anyio.to_thread.run_sync(elsewhere)
    await store.aclose()
    assert await store.load(key) is None
    await store.aclose()
