"""What a DatabaseStore asks of its table, and what it keeps there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, SessionTooLarge, Stored
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.mysql import DatabaseStore
from starlette_sessions_ext.stores.mysql import statements as rows
from starlette_sessions_ext.testing import FakeClock

from ...support.mariadb_server import MariaDBServer
from .control import load, pool, query, status

pytestmark = pytest.mark.anyio


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
            remedy = str(refusal.value).partition("Repair it: ")[2]
            if "PRIMARY KEY (session_id(20))" in change:
                await query(control, "ALTER TABLE other.session_data DROP PRIMARY KEY")
            await query(control, remedy)
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
    assert await status(control, "Com_delete") - before == 5
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
