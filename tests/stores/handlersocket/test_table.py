"""The table that a HandlerSocketStore finds, and the settings of its server."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import (
    ConfigurationError,
    SessionTooLarge,
    StoreUnavailable,
)
from starlette_sessions_ext.cli import main
from starlette_sessions_ext.stores.handlersocket.schema_sql import _settings_findings

from ...support.mariadb_server import MariaDBServer
from .stores import make_store

pytestmark = pytest.mark.anyio


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
