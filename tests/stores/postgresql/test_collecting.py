"""Collecting the expired rows of a PostgreSQL table: how much is looked at and deleted at once, and what is left."""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

import anyio
import pytest

from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore, statements
from starlette_sessions_ext.stores.postgresql.expired_rows import ExpiredRows
from starlette_sessions_ext.testing import FakeClock

from ...support.postgresql_server import PostgreSQLServer
from .control import connect

pytestmark = pytest.mark.anyio


async def test_collecting_goes_in_batches_and_leaves_the_living(
    store: PostgreSQLStore, control: Any, clock: FakeClock, soon: int
) -> None:
    now = int(clock())
    rows = [(key_of(new_id()), b"old", 1, now - number) for number in range(500)]
    rows += [(key_of(new_id()), b"live", 1, now + 1 + number) for number in range(500)]
    await control.copy_records_to_table("sessions", records=rows, columns=["key", "data", "version", "expires_at"])
    steps: list[int] = []
    remove = store._delete_batch

    async def noted(rows: ExpiredRows, count: int) -> int:
        steps.append(await remove(rows, count))
        return steps[-1]

    store._delete_batch = noted  # type: ignore[method-assign]
    assert await store.delete_expired(limit=450) == 450
    assert sum(steps) == 450
    assert max(steps) == 100
    assert await store.delete_expired() == 50
    assert [tuple(row) for row in await control.fetch("SELECT data, count(*) FROM sessions GROUP BY data")] == [
        (b"live", 500)
    ]


async def test_collecting_passes_over_what_another_has_locked(
    postgresql: PostgreSQLServer, store: PostgreSQLStore, control: Any, clock: FakeClock
) -> None:
    keys = [key_of(new_id()) for _ in range(3)]
    for key in keys:
        await store.create(key, b"old", int(clock()))
    rival = await connect(postgresql)
    async with rival.transaction():
        await rival.execute("SELECT 1 FROM sessions WHERE key = $1 FOR UPDATE", keys[1])
        assert await store.delete_expired() == 2
    await rival.close()
    assert await store.delete_expired() == 1


async def test_collecting_ends_where_another_has_locked_as_many_as_one_look_finds(
    postgresql: PostgreSQLServer, store: PostgreSQLStore, control: Any, clock: FakeClock
) -> None:
    rows = [(key_of(new_id()), b"old", 1, int(clock()) - 2 * 86_400) for _ in range(1001)]
    await control.copy_records_to_table("sessions", records=rows, columns=["key", "data", "version", "expires_at"])
    rival = await connect(postgresql)
    async with rival.transaction():
        await rival.execute("SELECT 1 FROM sessions FOR UPDATE")
        with anyio.fail_after(60):
            assert await store.delete_expired() == 0
    await rival.close()
    assert await store.delete_expired(2000) == 1001


async def test_collecting_spares_what_was_used_since_it_was_found(
    store: PostgreSQLStore, control: Any, clock: FakeClock, soon: int
) -> None:
    """Its writer's clock may be behind."""
    keys = [key_of(new_id()) for _ in range(150)]
    for key in keys:
        await store.create(key, b"old", int(clock()))
    found = ExpiredRows(store._table, 0)
    while not (deleted := await found.delete(50, int(clock()))):
        assert not found.is_over
    assert deleted <= 50
    left = [key for (key,) in await control.fetch("SELECT key FROM sessions")]
    await control.execute("UPDATE sessions SET expires_at = $1", soon)
    while not found.is_over:
        assert await found.delete(100, int(clock())) == 0
    assert len(left) == 150 - deleted
    assert sorted(left) == sorted([key for key in keys if await store.load(key) is not None])


async def _fill_blocks(control: Any, count: int, expires_at: str) -> None:
    """Four rows to a block, each too small to be compressed. A range of blocks has 4096 rows then."""
    columns = "key, data, version, expires_at"
    rows = (
        f"SELECT translate(md5(n::text), '0189', 'wxyz'), convert_to(repeat(md5(n::text), 50), 'UTF8'), 1, {expires_at}"
    )
    await control.execute("TRUNCATE sessions")
    await control.execute(
        f"INSERT INTO sessions ({columns}) {rows} FROM generate_series(1, {count}) n; ANALYZE sessions"
    )


@pytest.mark.slow
async def test_a_look_among_many_that_end_today_reads_a_part_of_them(
    store: PostgreSQLStore, control: Any, clock: FakeClock
) -> None:
    """Also in the plan for values that the server doesn't know."""
    clock.advance(43_200 - clock() % 86_400)
    now = int(clock())
    await _fill_blocks(control, 20_000, f"{now} + n % 100")
    text = statements.for_table("sessions", 1)[statements.FIND_TODAY]
    await control.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE look AS {text}")
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE look({now}, '(1024,0)', '(2048,0)')"
    [(found,)] = await control.fetch(explain)
    [plan] = json.loads(found)
    assert plan["Plan"]["Node Type"] == "Tid Range Scan"
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] == 1024
    assert plan["Plan"]["Actual Rows"] == pytest.approx(41, abs=1)
    [(blocks, length)] = await store._table.fetch(statements.COUNT_BLOCKS)
    assert (blocks, length) == (5000, 1024)


@pytest.mark.slow
async def test_collecting_continues_where_it_ended_and_goes_once_around(
    store: PostgreSQLStore, control: Any, clock: FakeClock
) -> None:
    clock.advance(43_200 - clock() % 86_400)
    now = int(clock())
    await _fill_blocks(control, 20_000, f"{now} + (n % 200 <> 0)::int")
    looks: list[int] = []
    fetch_keys = store._table.fetch_keys

    async def noted(statement: str, *values: Any) -> list[str]:
        if statement == statements.FIND_TODAY:
            looks.append(values[1][0])
        return await fetch_keys(statement, *values)

    store._table.fetch_keys = noted  # type: ignore[method-assign]
    assert await store.delete_expired(limit=30) == 30
    assert await store.delete_expired() == 70
    assert await store.delete_expired() == 0
    assert looks == [*(0, 1024), *(1024, 2048, 3072, 4096, 0), *(0, 1024, 2048, 3072, 4096)]
    assert await control.fetchval("SELECT count(*) FROM sessions") == 19_900


async def test_collecting_goes_through_all_partitions(
    postgresql: PostgreSQLServer, store: PostgreSQLStore, control: Any, clock: FakeClock
) -> None:
    await control.execute("CREATE SCHEMA parts")
    try:
        await control.execute("CREATE TABLE parts.sessions (LIKE sessions INCLUDING ALL) PARTITION BY HASH (key)")
        for number in range(3):
            partition = f"PARTITION OF parts.sessions FOR VALUES WITH (MODULUS 3, REMAINDER {number})"
            await control.execute(f"CREATE TABLE parts.part_{number} {partition}")
        async with PostgreSQLStore(postgresql.url(), schema="parts", clock=clock) as parts:
            for number in range(30):
                assert await parts.create(key_of(new_id()), b"data", int(clock()) + number % 3)
            assert await parts.delete_expired() == 10
            [(blocks, _)] = await parts._table.fetch(statements.COUNT_BLOCKS)
            assert blocks == 1
    finally:
        await control.execute("DROP SCHEMA parts CASCADE")


@pytest.mark.slow
async def test_gc_of_ten_thousand_next_to_ten_thousand_that_live(postgresql: PostgreSQLServer, control: Any) -> None:
    """Some of each end today, some on other days."""
    now = int(time.time())
    rows = [(key_of(new_id()), b"old", 1, now - 10 - 15 * number) for number in range(10_000)]
    rows += [(key_of(new_id()), b"live", 1, now + 3600 + 15 * number) for number in range(10_000)]
    random.shuffle(rows)
    await control.copy_records_to_table("sessions", records=rows, columns=["key", "data", "version", "expires_at"])
    done = await anyio.run_process([sys.executable, "-m", "starlette_sessions_ext", "gc", postgresql.url()])
    assert done.stdout.decode().splitlines()[-1] == "10000 expired sessions removed"
    assert [tuple(row) for row in await control.fetch("SELECT data, count(*) FROM sessions GROUP BY data")] == [
        (b"live", 10_000)
    ]


async def test_rows_are_collected_after_the_32_bit_seconds_have_ended(store: PostgreSQLStore, clock: FakeClock) -> None:
    clock.now = 2.0**31 + 86400
    keys = [key_of(new_id()) for _ in range(2)]
    await store.create(keys[0], b"of a day before", int(clock()) - 100_000)
    await store.create(keys[1], b"of today", int(clock()) - 1)
    assert await store.delete_expired() >= 2
    assert not {*keys} & {key async for key in store.all_keys()}
