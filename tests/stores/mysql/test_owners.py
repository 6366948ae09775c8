"""Owners in a MySQL table: one that has no column for them yet, and how their rows are found."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import ConfigurationError, DatabaseStore, SessionUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.mysql import statements
from starlette_sessions_ext.stores.mysql.names import MIGRATED
from starlette_sessions_ext.testing import FakeClock

from ...support.client import make_app
from ...support.lifespan import Lifespan
from ...support.mariadb_server import MIGRATIONS, MariaDBServer
from .control import load, locked, query

pytestmark = pytest.mark.anyio

ANN = "a" * 32
MIGRATE = "sessions-ext migrate mysql://USER:PASSWORD@127.0.0.1:{port}/other"
ADD_OWNER = (
    "ADD COLUMN `owner` CHAR(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,"
    " ADD KEY `session_data_owner` (`owner`);"
)


@pytest.fixture
async def other(mariadb: MariaDBServer, control: Any) -> AsyncIterator[Any]:
    """A connection; the database `other` has the table as version 0.1 made it."""
    mariadb.run((MIGRATIONS / "0001_create.sql").read_text(), "other")
    yield control
    mariadb.run("DROP TABLE session_data, php_session", "other")


def what_needs_an_owner(store: DatabaseStore, key: str, soon: int, version: int) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: store.create(key_of(new_id()), b"data", soon, ANN),
        lambda: store.replace(key, b"new", soon, version, ANN),
        lambda: store.keys_of(ANN),
        lambda: store.delete_all_of(ANN),
    ]


async def test_a_table_that_was_not_migrated_serves_sessions_without_owners(
    mariadb: MariaDBServer, other: Any, caplog: pytest.LogCaptureFixture, key: str, soon: int
) -> None:
    """So the package can be upgraded first, one process after another, and the table then."""
    command = MIGRATE.format(port=mariadb.port)
    async with DatabaseStore(mariadb.url("other")) as store:
        [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert record.getMessage() == (
            f"`session_data` has no column `owner`, so the sessions of a user can't be found: run {command}"
        )
        assert await store.create(key, b"one", soon)
        assert await store.replace(key, b"two", soon, (await load(store, key)).version)
        row = await load(store, key)
        assert await store.owner_of(key) is None
        for call in what_needs_an_owner(store, key, soon, row.version):  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match=f"run {command}"):
                await call()
        assert await load(store, key) == row
        assert [finding.remedy for finding in await store.diagnose() if "owner" in finding.problem] == [
            f"run {command}"
        ]
        mariadb.run((MIGRATIONS / "0003_owner.sql").read_text(), "other")
        assert await store.replace(key, b"three", soon, row.version, ANN), "without opening it again"
        assert await store.keys_of(ANN) == [key]
        assert await store.owner_of(key) == ANN
        assert not [finding for finding in await store.diagnose() if "owner" in finding.problem]


async def test_an_application_that_needs_owners_doesnt_start_without_the_column(
    mariadb: MariaDBServer, other: Any
) -> None:
    def server(user: str | None) -> Lifespan:
        return Lifespan(make_app(DatabaseStore(mariadb.url("other")), {}, user=user))

    await server(None).run()
    failing = server("user_id")
    with pytest.raises(ConfigurationError, match="sessions-ext migrate"):
        await failing.run()
    assert failing.sent[0]["type"] == "lifespan.startup.failed"
    mariadb.run((MIGRATIONS / "0003_owner.sql").read_text(), "other")
    await server("user_id").run()


@pytest.mark.parametrize("number", range(4))
async def test_a_store_that_was_never_opened_finds_out_with_its_first_owner(
    mariadb: MariaDBServer, other: Any, key: str, soon: int, number: int
) -> None:
    store = DatabaseStore(mariadb.url("other"))
    with pytest.raises(ConfigurationError, match="sessions-ext migrate"):
        await what_needs_an_owner(store, key, soon, 1)[number]()
    await store.aclose()


async def test_another_table_is_given_the_statement(mariadb: MariaDBServer, other: Any, key: str, soon: int) -> None:
    await query(other, "CREATE TABLE other.web LIKE other.session_data")
    try:
        async with DatabaseStore(mariadb.url("fresh"), table="other.web", column_owner="user_digest") as store:
            with pytest.raises(ConfigurationError) as refusal:
                await store.create(key, b"data", soon, ANN)
            statement = str(refusal.value).partition(". ")[2]
            assert statement.startswith("ALTER TABLE `other`.`web` ADD COLUMN `user_digest` CHAR(32)")
            await query(other, statement)
            assert await store.create(key, b"data", soon, ANN)
            assert await query(other, "SELECT user_digest FROM other.web") == [(ANN,)]
    finally:
        await query(other, "DROP TABLE other.web")


@pytest.mark.parametrize(
    "definition",
    [
        *("INT", "CHAR(31) CHARACTER SET ascii COLLATE ascii_bin", "VARBINARY(32)"),
        *("CHAR(32) CHARACTER SET ascii", "CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''"),
    ],
)
async def test_a_column_that_holds_something_else_is_no_owner(
    mariadb: MariaDBServer, other: Any, key: str, soon: int, definition: str
) -> None:
    await query(other, f"ALTER TABLE other.session_data ADD COLUMN owner {definition}")
    async with DatabaseStore(mariadb.url("other")) as store:
        assert await store.create(key, b"data", soon), "as before"
        with pytest.raises(ConfigurationError, match=r"can't hold an owner, or none.*rename that column, then ALTER"):
            await store.keys_of(ANN)
        await query(other, "ALTER TABLE other.session_data RENAME COLUMN owner TO landlord")
        with pytest.raises(ConfigurationError, match="run sessions-ext migrate"):
            await store.keys_of(ANN)
        await query(other, f"ALTER TABLE other.session_data {ADD_OWNER}")
        assert await store.keys_of(ANN) == []


async def test_processes_of_an_earlier_version_go_on_with_a_migrated_table(
    store: DatabaseStore, control: Any, key: str, clock: FakeClock, soon: int
) -> None:
    """By the statements that version 0.1 sends."""
    quoted = MIGRATED.quoted()
    old, now = key_of(new_id()), int(clock())
    await store.create(key, b"mine", soon, ANN)
    await query(control, statements.CREATE.format(**quoted), old, "data", now, now, 1)
    version = (await load(store, key)).version
    await query(control, statements.REPLACE.format(**quoted), "theirs", now, key, version, 0)
    assert (await load(store, old)).data == b"data"
    assert await store.owner_of(old) is None
    assert await store.keys_of(ANN) == [key], "it doesn't know the column, and leaves it alone"


async def test_owners_are_found_by_their_index_and_their_rows_by_key(mariadb: MariaDBServer, control: Any) -> None:
    for database in ("fresh", "php"):
        quoted = {**MIGRATED.quoted(), "table": f"{database}.session_data", "more": ", %s"}
        for statement, values, index in (
            (statements.KEYS_OF, (ANN, 0), "session_data_owner"),
            (statements.OWNER, ("k", 0), "PRIMARY"),
            (statements.DELETE_OWNED, ("k", "l", ANN, 0), "PRIMARY"),
        ):
            await query(control, f"INSERT INTO {database}.session_data SET session_id = 'k', data = '', created_at = 1")
            [plan] = await query(control, f"EXPLAIN {statement.format(**quoted)}", *values)
            await query(control, f"DELETE FROM {database}.session_data")
            assert index in plan, plan


async def test_doctor_names_an_index_that_is_missing(mariadb: MariaDBServer, other: Any) -> None:
    mariadb.run((MIGRATIONS / "0003_owner.sql").read_text(), "other")
    await query(other, "ALTER TABLE other.session_data DROP KEY session_data_owner")
    async with DatabaseStore(mariadb.url("other")) as store:
        assert await store.keys_of(ANN) == []
        [finding] = [finding for finding in await store.diagnose() if "no index" in finding.problem]
        assert "`owner`" in finding.problem
        await query(other, finding.remedy.replace("`session_data` ADD", "other.session_data ADD"))
        assert not [finding for finding in await store.diagnose() if "no index" in finding.problem]


async def test_a_row_that_is_locked_fails_the_removal_which_can_be_called_again(
    mariadb: MariaDBServer, control: Any, clock: FakeClock, key: str, soon: int
) -> None:
    async with DatabaseStore(mariadb.url("fresh"), clock=clock, timeout=3) as store:
        for one in (key, key_of(new_id())):
            await store.create(one, b"data", soon, ANN)
        async with locked(control, key):
            with anyio.fail_after(60), pytest.raises(SessionUnavailable):
                await store.delete_all_of(ANN)
        removed = await store.delete_all_of(ANN)
        assert removed in (1, 2)
        assert await store.keys_of(ANN) == []


@pytest.mark.parametrize("name", ["", "an owner", "data"])
def test_names_that_cant_be_a_column_for_owners(mariadb: MariaDBServer, name: str) -> None:
    with pytest.raises(ConfigurationError):
        DatabaseStore(mariadb.url("fresh"), column_owner=name)
