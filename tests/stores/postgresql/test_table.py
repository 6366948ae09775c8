"""What a PostgreSQLStore asks of its table and its server, and what it keeps there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore, statements
from starlette_sessions_ext.stores.postgresql.inspection import refuse_version

from ...support.postgresql_server import PostgreSQLServer
from .control import load, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def spare(postgresql: PostgreSQLServer, control: Any) -> AsyncIterator[PostgreSQLStore]:
    """A store on another table, `spare.sessions`, which is made by what its refusal says."""
    await control.execute("CREATE SCHEMA spare")
    store = PostgreSQLStore(postgresql.url(), schema="spare")
    try:
        with pytest.raises(ConfigurationError, match=r'there is no table "spare"\."sessions". Make it: ') as refusal:
            await store.open()
        await control.execute(str(refusal.value).partition("Make it: ")[2])
        yield store
    finally:
        await store.aclose()
        await control.execute("DROP SCHEMA spare CASCADE")


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ("DROP COLUMN owner", ["it has no column owner"]),
        ("DROP COLUMN version", ["it has no column version"]),
        ("DROP COLUMN expires_on", ["it has no column expires_on"]),
        ("ALTER data TYPE text USING ''", ["data (text) isn't of the type bytea"]),
        ("ALTER data DROP NOT NULL", ["data may be NULL"]),
        ("ALTER version TYPE numeric", ["version (numeric) isn't of the type bigint"]),
        ("DROP COLUMN expires_on, ALTER expires_at TYPE integer", ["expires_at (integer)", "no column expires_on"]),
        ("ALTER key TYPE character varying(31)", ["key (character varying(31)) isn't of the type text"]),
        ("ALTER key TYPE text COLLATE spare.loose", ["key takes different keys for one under its collation"]),
        ("DROP CONSTRAINT sessions_pkey", ["key alone isn't its primary key"]),
        (
            "DROP CONSTRAINT sessions_pkey, ADD PRIMARY KEY (key, version)",
            ["key alone isn't its primary key"],
        ),
        ("ALTER expires_on DROP EXPRESSION", ["expires_on isn't generated"]),
        ("ADD COLUMN visitor integer NOT NULL", ['"visitor" has no default']),
    ],
)
async def test_open_refuses_a_table_and_says_what_repairs_it(
    spare: PostgreSQLStore, control: Any, key: str, change: str, messages: list[str]
) -> None:
    await control.execute(
        "CREATE COLLATION spare.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    await control.execute(f"ALTER TABLE spare.sessions {change}")
    with pytest.raises(ConfigurationError) as refusal:
        await spare.open()
    with pytest.raises(ConfigurationError):
        await spare.load(key)
    for message in messages:
        assert message in str(refusal.value)
    remedy = str(refusal.value).partition("Repair it: ")[2]
    if "ADD PRIMARY KEY (key, version)" in change:
        await control.execute("ALTER TABLE spare.sessions DROP CONSTRAINT sessions_pkey")
    await control.execute(remedy)
    await spare.open()
    assert await spare.load(key) is None


async def test_a_table_with_more_columns_will_do(spare: PostgreSQLStore, control: Any, key: str, soon: int) -> None:
    await control.execute("ALTER TABLE spare.sessions ADD visitor integer NOT NULL DEFAULT 0, ADD made timestamptz")
    await control.execute("ALTER TABLE spare.sessions ADD number bigint NOT NULL GENERATED ALWAYS AS IDENTITY")
    async with spare:
        await spare.create(key, b"data", soon)
        assert (await load(spare, key)).data == b"data"


async def test_a_view_is_refused(postgresql: PostgreSQLServer, control: Any) -> None:
    await control.execute("CREATE VIEW seen AS SELECT * FROM sessions")
    try:
        with pytest.raises(ConfigurationError, match='"seen" is a view'):
            await PostgreSQLStore(postgresql.url(), table="seen").open()
    finally:
        await control.execute("DROP VIEW seen")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_another_isolation_is_refused(postgresql: PostgreSQLServer, control: Any, level: str) -> None:
    await control.execute(f"ALTER ROLE tester SET default_transaction_isolation = '{level}'")
    store = PostgreSQLStore(postgresql.url())
    try:
        with pytest.raises(ConfigurationError, match=f"{level}.*ALTER ROLE") as refusal:
            await store.open()
        remedy = str(refusal.value).partition(": ")[2].replace("the account", "tester")
        await control.execute(remedy)
        await store.aclose()
        await store.open()
    finally:
        await store.aclose()
        await control.execute("ALTER ROLE tester RESET ALL")


async def test_a_server_that_is_read_only_is_refused_at_first_use(
    postgresql: PostgreSQLServer, control: Any, key: str
) -> None:
    await control.execute("ALTER ROLE tester SET default_transaction_read_only = on")
    try:
        store = PostgreSQLStore(postgresql.url())
        for call in (store.open(), store.load(key)):
            with pytest.raises(StoreUnavailable, match="read-only"):
                await call
        await store.aclose()
    finally:
        await control.execute("SET default_transaction_read_only = off; ALTER ROLE tester RESET ALL")


async def test_a_server_that_is_too_old_is_refused() -> None:
    refuse_version(120000)
    with pytest.raises(ConfigurationError, match="PostgreSQL 11 is too old"):
        refuse_version(110022)


# What works, but not well


async def test_findings_and_their_remedies(postgresql: PostgreSQLServer, spare: PostgreSQLStore, control: Any) -> None:
    await control.execute("DROP INDEX spare.sessions_expires_on_idx; DROP INDEX spare.sessions_owner_idx")
    await control.execute("ALTER TABLE spare.sessions SET UNLOGGED")
    await control.execute("ALTER ROLE tester SET synchronous_commit = off")
    try:
        found = await spare.diagnose()
        assert [problem.partition(" ")[0] for problem, _ in found[:3]] == [
            "fsync",
            "synchronous_commit",
            '"spare"."sessions"',
        ]
        assert {problem.split(":")[0] for problem, _ in found[3:]} == {
            "no index begins with expires_on",
            "no index begins with owner",
        }
        for _, remedy in found:
            if "ALTER SYSTEM" not in remedy:
                await control.execute(remedy)
        left = [problem for problem, _ in await spare.diagnose()]
        assert [problem.partition(" is off")[0] for problem in left] == ["fsync", "synchronous_commit"]
    finally:
        await control.execute("ALTER ROLE tester RESET ALL")


# Rows


async def test_a_touch_writes_to_no_index(store: PostgreSQLStore, control: Any, soon: int) -> None:
    """A heap-only update, though the row has an expiry that is indexed by its day."""
    keys = [key_of(new_id()) for _ in range(50)]
    day = soon - soon % 86400 + 86400
    for key in keys:
        await store.create(key, b"data", day, "a" * 32)
    count = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'"
    before = await control.fetchrow(count)
    for key in keys:
        for seconds in range(1, 6):
            assert await store.touch(key, day + seconds)

    async def counted() -> bool:
        return bool((await control.fetchrow(count))[0] - before[0] == 250)

    await store.aclose()  # a server process counts at once when it ends
    await until(counted)
    assert (await control.fetchrow(count))[1] - before[1] >= 0.9 * 250, "all but those for which a page had no room"


async def test_times_are_exact_in_the_row(store: PostgreSQLStore, control: Any, key: str) -> None:
    await store.create(key, b"data", 253_402_300_799)
    assert (await load(store, key)).expires_at == 253_402_300_799
    assert tuple(await control.fetchrow("SELECT expires_at, expires_on FROM sessions")) == (253_402_300_799, 2_932_896)


@pytest.mark.parametrize("version", ["1", None, 1.0, True, 2**63, -(2**63) - 1])
async def test_what_isnt_a_version_changes_nothing(store: PostgreSQLStore, key: str, soon: int, version: Any) -> None:
    await store.create(key, b"data", soon)
    assert not await store.replace(key, b"new", soon, version)
    assert version is None or not await store.delete(key, version)
    assert (await load(store, key)).data == b"data"


async def test_rows_of_other_programs_are_no_sessions(
    store: PostgreSQLStore, control: Any, key: str, soon: int
) -> None:
    await control.execute("INSERT INTO sessions VALUES ('theirs', 'x', 1, $1), ('', 'x', 1, $1)", soon)
    await store.create(key, b"data", soon)
    assert [one async for one in store.all_keys()] == [key]


@pytest.mark.parametrize(
    ("statement", "values", "way"),
    [
        (statements.FIND_PAST_DAYS, "500000::bigint, 100", "sessions_expires_on_idx"),
        (statements.FIND_TODAY, "5::bigint, '(0,0)'::tid, '(9999,0)'::tid", "Tid Range Scan"),
        (statements.DELETE_EXPIRED, "ARRAY['a', 'b'], 5", "sessions_pkey"),
        (statements.KEYS_OF, "'a', 5", "sessions_owner_idx"),
        (statements.DELETE_ALL_OF, "'a', NULL, 5", "sessions_owner_idx"),
        (statements.LOAD, "ARRAY['a', 'b'], 5", "sessions_pkey"),
        (statements.REPLACE_MANY, "ARRAY['a'], ARRAY[1], ARRAY['a'::bytea], ARRAY[1], ARRAY['a'], 5", "sessions_pkey"),
    ],
)
async def test_statements_use_the_indexes_in_a_large_table(
    store: PostgreSQLStore, control: Any, statement: str, values: str, way: str
) -> None:
    """Also in the plan for values that the server doesn't know."""
    rows = "SELECT md5(n::text), 'x', 1, 86400 * (n % 100), md5((n % 5000)::text) FROM generate_series(1, 20000) n"
    await control.execute(f"INSERT INTO sessions (key, data, version, expires_at, owner) {rows}; ANALYZE sessions")
    text = statements.for_table("sessions", 1)[statement]
    await control.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE asked AS {text}")
    plan = "\n".join(line for (line,) in await control.fetch(f"EXPLAIN EXECUTE asked({values})"))
    assert way in plan
    assert "Seq Scan on sessions" not in plan
