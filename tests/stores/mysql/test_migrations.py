from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import asyncmy
import pytest

from starlette_sessions_ext import ConfigurationError, StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.cli import main
from starlette_sessions_ext.stores.mysql import DatabaseStore, migrations
from starlette_sessions_ext.stores.mysql.migrations import apply, find, pending, split
from starlette_sessions_ext.stores.mysql.names import MIGRATED
from starlette_sessions_ext.stores.mysql.schema import php_session, session_data

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.mariadb_server import PASSWORD, PHP_TABLES, USER, MariaDBServer, running_mariadb

pytestmark = pytest.mark.anyio

NAMES = ["0001_create", "0002_upgrade", "0003_owner"]
FILES = find()
STRICTEST = "TRADITIONAL,NO_ZERO_DATE,NO_ZERO_IN_DATE"

PHP_ROWS = """
INSERT INTO session_data VALUES ('4qf1u9g9oi5gfh8e6tdbKJ-,', 'name|s:4:"Zoë";', 1400000000, NULL);
INSERT INTO session_data VALUES ('4qf1u9g9oi5gfh8e6tdbkl-,', '', 1400000000, 1400000060);
INSERT INTO php_session VALUES ('4qf1u9g9oi5gfh8e6tdbKJ-,', '2014-05-13 16:53:20', 'name|s:4:"Zoë";');
INSERT INTO php_session (id, data) VALUES ('4qf1u9g9oi5gfh8e6tdbkl-,', NULL);
"""
SELECT_ROWS = """
SELECT session_id, data, created_at, modified_at FROM session_data ORDER BY session_id;
SELECT id, modified, data FROM php_session ORDER BY id;
"""


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def database(mariadb: MariaDBServer) -> Iterator[str]:
    """The name of an empty database."""
    mariadb.run("CREATE DATABASE app")
    yield "app"
    mariadb.run("DROP DATABASE app")


async def connect(server: MariaDBServer, database: str | None) -> Any:
    address = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD.encode()}
    return await asyncmy.connect(**address, database=database, sql_mode=f"'{STRICTEST}'")


@pytest.fixture
async def connection(mariadb: MariaDBServer, database: str) -> AsyncIterator[Any]:
    async with await connect(mariadb, database) as connection:
        yield connection


async def opens(server: MariaDBServer, database: str) -> bool:
    async with DatabaseStore(server.url(database)):
        return True


def columns(server: MariaDBServer) -> str:
    return server.run("SHOW CREATE TABLE session_data; SHOW CREATE TABLE php_session", "app")


async def test_a_fresh_database(mariadb: MariaDBServer, connection: Any) -> None:
    assert [migration.name for migration in await pending(connection)] == NAMES
    assert mariadb.run("SHOW TABLES", "app") == ""
    assert await apply(connection) == NAMES
    assert await pending(connection) == []
    assert mariadb.run("SELECT name FROM starlette_sessions_migrations ORDER BY name", "app").split() == NAMES
    assert await opens(mariadb, "app")


async def test_twice_in_a_row(mariadb: MariaDBServer, connection: Any) -> None:
    await apply(connection)
    before = columns(mariadb)
    assert await apply(connection) == []
    mariadb.run("DELETE FROM starlette_sessions_migrations", "app")  # as after a crash before it was written down
    assert await apply(connection) == NAMES
    assert columns(mariadb) == before


async def test_the_php_adapters_tables_are_upgraded_in_place(mariadb: MariaDBServer, connection: Any) -> None:
    mariadb.run(f"SET sql_mode = ''; {PHP_TABLES}{PHP_ROWS}", "app")
    before = mariadb.run(SELECT_ROWS, "app")
    with pytest.raises(ConfigurationError, match="ADD COLUMN `version`"):
        await opens(mariadb, "app")
    assert await apply(connection) == NAMES
    assert mariadb.run(SELECT_ROWS, "app") == before
    assert "0000-00-00" in before
    assert await opens(mariadb, "app")
    # The statements that the PHP adapter sends.
    mariadb.run(
        "INSERT INTO `session_data` (`session_id`,`data`,`created_at`,`modified_at`) VALUES ('new', 'a|i:1;', 1, NULL);"
        "UPDATE `session_data` SET `data` = 'a|i:2;', `modified_at` = 2 WHERE `session_id` = 'new';"
        "INSERT INTO `php_session` (`id`,`modified`,`data`) VALUES ('new', '2014-05-13 16:53:20', 'a|i:1;')",
        "app",
    )
    row = mariadb.run("SELECT * FROM session_data WHERE session_id = 'new'", "app")
    assert row == "new\ta|i:2;\t1\t2\t0\tNULL\n", "with the first version, and no owner"
    assert mariadb.run("SELECT owner FROM php_session WHERE id = 'new'", "app") == "NULL\n"


async def test_upgraded_ids_are_compared_byte_by_byte(mariadb: MariaDBServer, connection: Any) -> None:
    mariadb.run(f"SET sql_mode = ''; {PHP_TABLES}{PHP_ROWS}", "app")
    await apply(connection)
    other_case = "SELECT COUNT(*) FROM {} WHERE {} = '4QF1U9G9OI5GFH8E6TDBKJ-,'"
    assert mariadb.run(other_case.format("session_data", "session_id"), "app") == "0\n"
    assert mariadb.run(other_case.format("php_session", "id"), "app") == "0\n"


async def test_files_given_to_the_mysql_client_do_the_same(mariadb: MariaDBServer, connection: Any) -> None:
    await apply(connection)
    applied = columns(mariadb)
    mariadb.run("DROP TABLE session_data, php_session", "app")
    for migration in FILES:
        mariadb.run(migration.sql, "app")
    assert columns(mariadb) == applied


async def test_two_at_once(mariadb: MariaDBServer, database: str) -> None:
    mariadb.run(f"SET sql_mode = ''; {PHP_TABLES}{PHP_ROWS}", database)
    applied: list[list[str]] = []

    async def one() -> None:
        async with await connect(mariadb, database) as connection:
            applied.append(await apply(connection))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(one)
    assert sorted(applied) == [[], [], [], NAMES]
    assert await opens(mariadb, database)


async def test_another_process_that_doesnt_end_is_told(mariadb: MariaDBServer, connection: Any) -> None:
    async with await connect(mariadb, "app") as other:
        await other.query("DO GET_LOCK(CONCAT('starlette_sessions_', SHA1('app')), 0)")
        with pytest.raises(StoreTimeout, match="another process"):
            await apply(connection, wait=0.1)
        assert await pending(connection) == FILES
    assert await apply(connection) == NAMES


async def test_few_rights_are_enough(mariadb: MariaDBServer, database: str) -> None:
    """Those that docs/stores.md names: for the migrations, then for the store."""
    mariadb.run(f"CREATE USER few IDENTIFIED BY 'pw'; GRANT CREATE, ALTER, SELECT, INSERT ON {database}.* TO few")
    mariadb.run(PHP_TABLES, database)
    url = f"mysql://few:pw@127.0.0.1:{mariadb.port}/{database}"
    async with migrations.connect(url) as connection:
        assert await apply(connection) == NAMES
    mariadb.run(f"REVOKE ALL ON {database}.* FROM few; GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO few")
    async with DatabaseStore(url) as store:
        key = key_of(new_id())
        assert await store.create(key, b"data", 2_000_000_000)
        assert await store.touch(key, 2_000_000_001)
        assert await store.delete_expired() == 0
        assert await store.delete(key)
    mariadb.run("DROP USER few")


async def test_a_failure_says_where_and_the_next_run_goes_on(mariadb: MariaDBServer, connection: Any) -> None:
    """An id that isn't ASCII can't be a session id of PHP's: nothing is cut, and nothing is changed."""
    mariadb.run(f"SET sql_mode = ''; {PHP_TABLES}{PHP_ROWS}", "app")
    mariadb.run("INSERT INTO session_data VALUES ('sé', '', 1, NULL)", "app")
    before = columns(mariadb)
    with pytest.raises(StoreUnavailable, match=r"migration 0002_upgrade failed in its statement 5.*1366"):
        await apply(connection)
    assert [migration.name for migration in await pending(connection)] == NAMES[1:]
    assert columns(mariadb) == before
    mariadb.run("DELETE FROM session_data WHERE created_at = 1", "app")
    assert await apply(connection) == NAMES[1:]


async def test_a_connection_without_a_database_is_refused(mariadb: MariaDBServer) -> None:
    async with await connect(mariadb, None) as connection:
        with pytest.raises(ConfigurationError, match="a database"):
            await apply(connection)


async def test_a_connection_that_was_closed_is_unavailable(connection: Any) -> None:
    connection.close()
    for call in (apply, pending):
        with pytest.raises(StoreUnavailable, match="migrations"):
            await call(connection)


# The command


@pytest.mark.parametrize("arguments", [[], ["--check"]])
@pytest.mark.parametrize(
    "url",
    [
        *("sqlite:///nowhere.db", "redis://host/0", "rediss://host/0", "unix:///redis.sock", "mongodb://host/app"),
        *("mongodb+srv://host/app", "memory://"),
    ],
)
def test_a_store_without_tables_has_nothing_to_migrate(
    url: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", *arguments, url]) == 0
    assert capsys.readouterr().out.startswith("nothing to migrate: ")
    assert not Path("nowhere.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("handlersocket://:canary@host/app/php_session", "give the mysql:// URL"),
        ("mysql://user:canary@host", "mysql://user:password@host:3306/database"),
        ("oracle://user:canary@host/app", "mysql://user:password@host:3306/database"),
    ],
)
def test_another_url_is_explained(url: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", url]) == 1
    assert message in (errors := capsys.readouterr().err)
    assert "canary" not in errors


def test_the_command_says_what_it_found(
    mariadb: MariaDBServer, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = mariadb.url(database)
    for arguments, status, words in [
        (["--check"], 1, "".join(f"missing: {name}\n" for name in NAMES)),
        ([], 0, "".join(f"applied {name}\n" for name in NAMES)),
        (["--check"], 0, "the tables are up to date\n"),
        ([], 0, "the tables are up to date already\n"),
    ]:
        assert main(["migrate", *arguments, url]) == status
        assert capsys.readouterr().out == words


@pytest.mark.parametrize(
    ("change", "repair", "message"),
    [
        ("REVOKE CREATE ON app.* FROM few", "DO 0", "1142.*GRANT CREATE, ALTER, SELECT, INSERT"),
        ("REVOKE ALL ON app.* FROM few", "DO 0", "1044.*GRANT SELECT"),
        ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0", "1290.*name the primary server"),
        ("ALTER USER few IDENTIFIED BY 'other'", "DO 0", "1045.*refuses the account or its password"),
    ],
)
def test_what_keeps_an_account_from_migrating(
    mariadb: MariaDBServer, database: str, capsys: pytest.CaptureFixture[str], change: str, repair: str, message: str
) -> None:
    mariadb.run("CREATE USER few IDENTIFIED BY 'canary'; GRANT CREATE, ALTER, SELECT, INSERT ON app.* TO few")
    try:
        mariadb.run(change)
        assert main(["migrate", f"mysql://few:canary@127.0.0.1:{mariadb.port}/{database}"]) == 1
        errors = capsys.readouterr().err
        assert re.search(message, errors)
        assert "canary" not in errors
    finally:
        mariadb.run(repair)
        mariadb.run("DROP USER few")


def test_the_files_are_numbered_without_gaps() -> None:
    folder = Path(__file__).parents[3] / "migrations"
    names = [migration.name for migration in find()]
    assert names == sorted(path.stem for path in folder.glob("*.sql"))
    assert [name[:5] for name in names] == [f"{number:04}_" for number in range(1, len(names) + 1)]


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("", []),
        (" ;; \n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT\n2;", ["SELECT 1", "SELECT\n2"]),
        ("-- a; comment\nSELECT 1 -- b; c\n; # d; e\nSELECT 2--", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1 --1; SELECT /* a; 'b */ 2", ["SELECT 1 --1", "SELECT   2"]),
        ("SELECT '-- a; # b', \"/* c;\", `d;`", ["SELECT '-- a; # b', \"/* c;\", `d;`"]),
        (
            r"""SELECT 'it''s; \'quoted\'; \\'; SELECT "a"";\""; """,
            [r"SELECT 'it''s; \'quoted\'; \\'", r'SELECT "a"";\""'],
        ),
        ("SET a = 1 /*!50000 , b = ';' */; DO 0", ["SET a = 1 /*!50000 , b = ';' */", "DO 0"]),
        ("SET a = 1 /*M!100101 , b = 2 */", ["SET a = 1 /*M!100101 , b = 2 */"]),
    ],
)
def test_statements_are_split(sql: str, statements: list[str]) -> None:
    assert split(sql) == statements


@pytest.mark.parametrize("tables", ["", PHP_TABLES], ids=["fresh", "php"])
async def test_the_migrations_make_what_the_checks_ask_for(
    mariadb: MariaDBServer, connection: Any, tables: str
) -> None:
    """A table made at once by the store's own statement is the same as one that came there step by step."""
    mariadb.run(f"SET sql_mode = ''; {tables}", "app")
    await apply(connection)
    migrated = {name: show(mariadb, name) for name in ("session_data", "php_session")}
    mariadb.run("DROP TABLE session_data, php_session", "app")
    for table in (session_data(MIGRATED), php_session(None, "php_session")):
        mariadb.run(table.create_statement, "app")
        made = show(mariadb, table.name)
        if not tables:
            assert migrated[table.name] == made
        wanted = {line for line in made if any(f"`{part}`" in line for part in CHECKED)}
        assert wanted <= migrated[table.name]


CHECKED = ("session_id", "id", "version", "owner", "session_data_expiry", "session_data_owner", "php_session_owner")


def show(server: MariaDBServer, table: str) -> set[str]:
    """Return the lines of a table's definition, without the commas at their ends."""
    lines = server.run(f"SHOW CREATE TABLE {table}", "app").replace("\\n", "\n").splitlines()
    return {line.strip().removesuffix(",") for line in lines}


async def test_a_column_of_the_same_name_is_left_alone(mariadb: MariaDBServer, connection: Any) -> None:
    for migration in FILES[:2]:
        mariadb.run(migration.sql, "app")
    mariadb.run("ALTER TABLE session_data ADD COLUMN owner INT DEFAULT 7", "app")
    before = show(mariadb, "session_data")
    assert await apply(connection) == NAMES
    assert show(mariadb, "session_data") == before
    assert await opens(mariadb, "app"), "and serves sessions"
