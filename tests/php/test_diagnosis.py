"""What `sessions-ext doctor --php` finds in sessions that PHP and Python share."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from redis.asyncio import Redis

from starlette_sessions_ext import ConfigurationError
from starlette_sessions_ext.cli import main
from starlette_sessions_ext.php import PHPSettings
from starlette_sessions_ext.php.diagnosis import diagnose, findings, store_of
from starlette_sessions_ext.php.files import PHPFileStore
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore
from starlette_sessions_ext.php.mongo import PHPMongoStore
from starlette_sessions_ext.php.mysql import PHPDatabaseStore, PHPSessionTableStore
from starlette_sessions_ext.php.redis import PHPRedisStore
from starlette_sessions_ext.testing import FakeClock

from ..support.asyncio_only import anyio_backend
from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import MongoServer
from ..support.redis_server import RedisServer
from .hits import LIFETIME
from .php_tables import DATABASE, empty_tables, make_tables

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

PREFIX = "PHPREDIS_SESSION:"


class Rows:
    """Live sessions in Redis, as bytes."""

    def __init__(self, client: Any, path: str) -> None:
        self._client = client
        self.path = path

    async def add(self, number: int, data: bytes, seconds: int = LIFETIME) -> None:
        await self._client.set(f"{PREFIX}{number:026}", data, ex=seconds)

    async def problems(self, **options: Any) -> list[str]:
        """What is found, but for the settings of the server."""
        found = [finding.problem for finding in await diagnose(self.path, **options)]
        return [problem for problem in found if not problem.startswith(("appendonly", "maxmemory"))]


@pytest.fixture
async def rows(redis_server: RedisServer) -> AsyncIterator[Rows]:
    client: Any
    async with Redis.from_url(redis_server.url) as client:
        await client.flushdb()
        yield Rows(client, f"tcp://127.0.0.1:{redis_server.port}")


async def test_nothing_is_said_of_sessions_as_they_should_be(rows: Rows) -> None:
    await rows.add(1, b"k|i:1;")
    await rows.add(2, b"")
    assert await rows.problems() == []
    assert [finding.problem for finding in await diagnose(rows.path)] == [
        "appendonly is off: what was written since the last snapshot is lost if Redis is killed"
    ]


async def test_formats_are_said(rows: Rows) -> None:
    await rows.add(1, b"k|i:1;")
    await rows.add(2, b'a:1:{s:1:"k";i:1;}')
    await rows.add(3, b"\0\0\0\2\x14\1\x11\1k\6\1")
    await rows.add(4, b'{"json": 1}')
    await rows._client.hset(f"{PREFIX}{5:026}", "a", "b")
    assert [problem[:45] for problem in await rows.problems()] == [
        "1 sessions are in the format igbinary, where ",
        "2 sessions can't be read: PHP destroys them w",
        "1 sessions are in the format php_serialize, w",
    ]
    found = await rows.problems(format="php_serialize")
    assert any(problem.startswith("1 sessions are in the format php,") for problem in found)


async def test_objects_are_said_by_class_and_key_and_never_by_value(rows: Rows) -> None:
    await rows.add(1, b'user|O:4:"User":1:{s:6:"secret";s:6:"secret";}deep|a:1:{i:0;a:1:{s:1:"k";E:11:"Suit:Hearts";}}')
    assert await rows.problems() == [
        "session['deep'] holds an object of the class Suit, which is opaque to Python",
        "session['user'] holds an object of the class User, which is opaque to Python",
    ]


async def test_another_lifetime_is_said(rows: Rows) -> None:
    await rows.add(1, b"k|i:1;", seconds=7200)
    [problem] = await rows.problems()
    assert "where the lifetime is 1440" in problem
    assert await rows.problems(lifetime=7200) == []


async def test_not_more_than_a_sample_is_looked_at(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starlette_sessions_ext.php.diagnosis._MOST_ROWS", 3)
    for number in range(5):
        await rows.add(number, b"no")
    assert (await rows.problems())[0].startswith("3 sessions")


@pytest.fixture(scope="module")
def tables(mariadb: MariaDBServer) -> str:
    make_tables(mariadb)
    mariadb.run(
        """
        DROP TABLE IF EXISTS good_data;
        CREATE TABLE good_data LIKE wide_data;
        ALTER TABLE good_data MODIFY session_id varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL;
        DROP TABLE IF EXISTS binary_data;
        CREATE TABLE binary_data LIKE session_data_bytes;
        ALTER TABLE binary_data MODIFY session_id varbinary(20) NOT NULL;
        """,
        DATABASE,
    )
    return mariadb.url(DATABASE)


@pytest.mark.parametrize(
    ("table", "beginnings"),
    [
        ("session_data", ["the ids have the collation", "the data are utf8mb3"]),
        ("php_session", ["the ids have the collation", "the data are utf8mb3"]),
        ("latin_data", ["the ids have the collation", "the data are latin1"]),
        ("binary_data", ["the column of the ids holds 20 characters"]),
        ("good_data", []),
    ],
)
async def test_what_the_columns_change_is_said(tables: str, table: str, beginnings: list[str]) -> None:
    empty_tables(tables)
    problems = [finding.problem for finding in await diagnose(f"{tables}#{table}")]
    assert len(problems) == len(beginnings)
    assert all(problem.startswith(beginning) for problem, beginning in zip(problems, beginnings, strict=True))


async def test_what_the_columns_change_is_said_by_handlersocket_too(mariadb: MariaDBServer, tables: str) -> None:
    empty_tables(tables)
    found = await diagnose(f"{mariadb.handlersocket_url(DATABASE)}&mysql_url=mysql://unused")
    assert [finding.problem.split(",")[0] for finding in found] == [
        "the ids have a collation",
        "the data are utf8mb3: an emoji that PHP stores becomes question marks",
    ]
    assert mariadb.run("SELECT * FROM php_session", DATABASE) == ""


@pytest.mark.parametrize("kind", ["mysql", "mongo", "files"])
async def test_what_nothing_collects_is_said(
    kind: str, tables: str, mongo_server: MongoServer, tmp_path: Path, clock: FakeClock
) -> None:
    store: PHPDatabaseStore | PHPMongoStore | PHPFileStore
    if kind == "mysql":
        store = PHPDatabaseStore(tables, table="good_data", clock=clock)
    elif kind == "mongo":
        store = PHPMongoStore(f"{mongo_server.url}/php_doctor", clock=clock)
    else:
        store = PHPFileStore(str(tmp_path), clock=clock)
    async with store:
        assert await store.create("a" * 26, b"", int(clock()) + LIFETIME)
        clock.advance(2 * LIFETIME - 1)
        assert await findings(store, PHPSettings()) == []
        clock.advance(2)
        [finding] = await findings(store, PHPSettings())
        assert finding.problem.startswith("1 sessions that ended more than a lifetime ago")
        assert await store.delete_expired() == 1
        assert await findings(store, PHPSettings()) == []


async def test_times_in_another_zone_are_said(tables: str) -> None:
    """A row of Tokyo seems to be used nine hours from now."""
    empty_tables(tables)
    async with PHPSessionTableStore(tables) as store:
        assert await store.create("a" * 26, b"k|i:1;", int(time.time()) + LIFETIME + 9 * 3600)
    problems = [finding.problem for finding in await diagnose(f"{tables}#php_session", timezone="UTC")]
    assert any("another time zone" in problem for problem in problems)
    empty_tables(tables)


async def test_an_index_that_deletes_live_documents_is_said(mongo_server: MongoServer) -> None:
    with MongoClient[Any](mongo_server.url) as client:
        rows = client.php_doctor_ttl.session_data
        rows.create_index("modified", expireAfterSeconds=LIFETIME)
        assert await diagnose(f"{mongo_server.url}/php_doctor_ttl") == []
        [finding] = await diagnose(f"{mongo_server.url}/php_doctor_ttl", lifetime=LIFETIME + 1)
        assert finding.problem.startswith("the TTL index modified_1")
        rows.create_index("expires_at", expireAfterSeconds=0)
        [finding] = await diagnose(f"{mongo_server.url}/php_doctor_ttl")
        assert finding.problem.startswith("the TTL index expires_at_1")


async def test_files_of_another_user_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with PHPFileStore(str(tmp_path)) as store:
        assert await store.create("a" * 26, b"", int(time.time()) + LIFETIME)
        euid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: euid + 1)
        problems = [finding.problem for finding in await store.diagnose()]
    assert problems == [
        "1 session files belong to another user, and PHP goes on with an empty session for a foreign file"
    ]


async def test_a_folder_that_cant_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError

    store = PHPFileStore(str(tmp_path))
    monkeypatch.setattr(os, "scandir", refuse)
    [finding] = await store.diagnose()
    assert "can't be listed" in finding.problem


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("/var/lib/php/sessions", PHPFileStore),
        ("2;/var/lib/php/sessions", PHPFileStore),
        ("tcp://127.0.0.1:6379?weight=1", PHPRedisStore),
        ("mysql://u:p@h/d", PHPDatabaseStore),
        ("mysql://u:p@h/d#other", PHPDatabaseStore),
        ("mysql://u:p@h/d#php_session", PHPSessionTableStore),
        ("handlersocket://:secret@h:9998/d/php_session?port_wr=9999", PHPHandlerSocketStore),
        ("mongodb://h/d", PHPMongoStore),
    ],
)
def test_a_url_leads_to_a_store(url: str, store: type) -> None:
    assert type(store_of(url, PHPSettings())) is store


@pytest.mark.parametrize("url", ["sessions", "http://host", "redis://host"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="save path"):
        store_of(url, PHPSettings())


async def test_a_store_that_cant_say_more_has_no_findings() -> None:
    from starlette_sessions_ext import MemoryStore

    class Plain:
        """A store without optional powers."""

    assert await findings(Plain(), PHPSettings()) == []  # type: ignore[arg-type]
    assert await findings(MemoryStore(), PHPSettings()) == []


def test_the_command_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ("sess_" + "a" * 26)
    assert main(["doctor", "--php", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "all is well\n"
    path.write_bytes(b'o|O:1:"A":0:{}')
    assert main(["doctor", "--php", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("session['o'] holds an object of the class A")
    assert main(["doctor", "--php", "--format", "bogus", str(tmp_path)]) == 1
    assert "serialize_handler must be" in capsys.readouterr().err
