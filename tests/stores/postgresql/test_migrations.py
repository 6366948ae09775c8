"""The migrations of PostgreSQL, as a function and as a command."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import StoreTimeout, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.cli import main
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore, migrations
from starlette_sessions_ext.stores.postgresql.migrations import Migration, apply, find, pending
from starlette_sessions_ext.stores.postgresql.names import MIGRATED
from starlette_sessions_ext.stores.postgresql.schema import create_statements

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.postgresql_server import MIGRATIONS, PostgreSQLServer, run_sql

pytestmark = pytest.mark.anyio

NAMES = ["0001_create"]
FILES = find()
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


@pytest.fixture
def url(postgresql: PostgreSQLServer) -> Iterator[str]:
    """An empty database."""
    postgresql.run("CREATE DATABASE app", "postgres")
    yield postgresql.url("app")
    postgresql.run("DROP DATABASE app WITH (FORCE)", "postgres")


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Any]:
    async with migrations.connect(url) as connection:
        yield connection


async def opens(url: str) -> bool:
    async with PostgreSQLStore(url):
        return True


async def test_a_fresh_database(url: str, connection: Any) -> None:
    assert [migration.name for migration in await pending(connection)] == NAMES
    assert run_sql(url, TABLES) == ""
    assert await apply(connection) == NAMES
    assert await pending(connection) == []
    assert run_sql(url, TABLES).split() == ["sessions", "starlette_sessions_migrations"]
    assert run_sql(url, "SELECT name FROM starlette_sessions_migrations").split() == NAMES
    assert await opens(url)


async def test_twice_in_a_row(url: str, connection: Any) -> None:
    await apply(connection)
    assert await apply(connection) == []
    run_sql(url, "DELETE FROM starlette_sessions_migrations")  # as where the file was applied by other means
    assert await apply(connection) == NAMES
    assert await opens(url)


async def test_another_schema_by_the_search_path(url: str) -> None:
    run_sql(url, "CREATE SCHEMA web; ALTER ROLE tester IN DATABASE app SET search_path = web")
    async with migrations.connect(url) as connection:
        assert await apply(connection) == NAMES
    assert run_sql(url, "SELECT schemaname FROM pg_tables WHERE tablename = 'sessions'") == "web\n"
    async with PostgreSQLStore(url), PostgreSQLStore(url, schema="web"):
        pass


async def test_several_at_once(url: str) -> None:
    applied: list[list[str]] = []

    async def one() -> None:
        async with migrations.connect(url) as connection:
            applied.append(await apply(connection))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(one)
    assert sorted(applied) == [[], [], [], NAMES]
    assert await opens(url)


async def test_another_process_that_doesnt_end_is_named(url: str, connection: Any) -> None:
    async with migrations.connect(url) as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", migrations._LOCK)
        with pytest.raises(StoreTimeout, match="another process"):
            await apply(connection, wait=0.1)
        assert await pending(connection) == FILES
    assert await apply(connection) == NAMES


async def test_few_rights_are_enough(postgresql: PostgreSQLServer, url: str) -> None:
    """Those that docs/accounts.md names: for the migrations, then for the store."""
    run_sql(url, "CREATE ROLE few LOGIN PASSWORD 'pw'; CREATE ROLE owns LOGIN PASSWORD 'pw'")
    run_sql(url, "GRANT CREATE ON SCHEMA public TO owns")
    place = f"127.0.0.1:{postgresql.port}/app"
    try:
        async with migrations.connect(f"postgresql://owns:pw@{place}") as connection:
            assert await apply(connection) == NAMES
        run_sql(url, "GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO few")
        async with PostgreSQLStore(f"postgresql://few:pw@{place}") as store:
            key = key_of(new_id())
            assert await store.create(key, b"data", 2_000_000_000)
            assert await store.delete(key)
    finally:
        run_sql(url, "DROP OWNED BY few, owns; DROP ROLE few, owns")


async def test_a_failure_says_where_and_changes_nothing(
    url: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "find", lambda: [*FILES, Migration("0002_wrong", "CREATE TABLE sessions (a int)")])
    with pytest.raises(StoreUnavailable, match=r"migration 0002_wrong failed, and nothing was changed: 42P07"):
        await apply(connection)
    assert run_sql(url, TABLES) == ""
    monkeypatch.undo()
    assert await apply(connection) == NAMES


async def test_a_connection_that_was_closed_is_unavailable(connection: Any) -> None:
    await connection.close()
    for call in (apply, pending):
        with pytest.raises(StoreUnavailable, match="migrations"):
            await call(connection)


# The command


def test_the_command_says_what_it_found(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status, words in [
        (["--check"], 1, "missing: 0001_create\n"),
        ([], 0, "applied 0001_create\n"),
        (["--check"], 0, "the tables are up to date\n"),
        ([], 0, "the tables are up to date already\n"),
    ]:
        assert main(["migrate", *arguments, url]) == status
        assert capsys.readouterr().out == words


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("REVOKE CREATE ON SCHEMA public FROM few", "42501.*GRANT CREATE, USAGE on the schema"),
        ("ALTER ROLE few SET default_transaction_read_only = on", r"standby, or read-only. Name the primary"),
        ("ALTER ROLE few PASSWORD 'other'", "28P01.*refuses the account or its password"),
    ],
)
def test_what_keeps_an_account_from_migrating(
    postgresql: PostgreSQLServer,
    url: str,
    capsys: pytest.CaptureFixture[str],
    change: str,
    message: str,
) -> None:
    run_sql(url, "CREATE ROLE few LOGIN PASSWORD 'canary'; GRANT CREATE ON SCHEMA public TO few")
    try:
        run_sql(url, change)
        assert main(["migrate", f"postgresql://few:canary@127.0.0.1:{postgresql.port}/app"]) == 1
        errors = capsys.readouterr().err
        assert re.search(message, errors)
        assert "canary" not in errors
    finally:
        run_sql(url, "DROP OWNED BY few; DROP ROLE few")


def test_doctor(postgresql: PostgreSQLServer, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", url]) == 1
    assert "Make it: sessions-ext migrate postgresql://" in capsys.readouterr().err
    assert main(["migrate", url]) == 0
    run_sql(url, "DROP INDEX sessions_owner_idx")
    capsys.readouterr()
    assert main(["doctor", url]) == 1
    out = capsys.readouterr().out
    assert "ALTER SYSTEM SET fsync = on" in out
    assert "no index begins with owner" in out


def test_the_files_are_numbered_without_gaps() -> None:
    names = [migration.name for migration in find()]
    assert names == sorted(path.stem for path in MIGRATIONS.iterdir())
    assert [name[:5] for name in names] == [f"{number:04}_" for number in range(1, len(names) + 1)]


async def test_the_migrations_create_what_the_checks_ask_for(url: str, connection: Any) -> None:
    """And what the refusal of another table proposes."""
    described = r"""SELECT string_agg(format('%s %s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod),
        a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attname)
        || (SELECT string_agg(pg_get_indexdef(i.indexrelid), '; ' ORDER BY 1) FROM pg_index i WHERE i.indrelid = c.oid)
        || array_to_string(c.reloptions, ', ')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.oid = 'sessions'::regclass GROUP BY c.oid, c.reloptions"""
    await apply(connection)
    migrated = await connection.fetchval(described)
    await connection.execute("DROP TABLE sessions")
    for statement in create_statements(MIGRATED):
        await connection.execute(statement)
    assert await connection.fetchval(described) == migrated
    assert "fillfactor=90" in migrated
