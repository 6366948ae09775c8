"""Rows in an SQLite file that aren't sessions, and calls that fail without taking others along."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import CorruptRecord, SQLiteStore, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import StoreFull
from starlette_sessions_ext.testing import FakeClock

from ...support.trio_in_full import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio

LOOSE = """
CREATE TABLE starlette_sessions (key PRIMARY KEY, data, version, expires_at);
CREATE INDEX starlette_sessions_expires_at ON starlette_sessions (expires_at);
"""
"""A table without types, as another tool may have copied it: it holds NULL, and text that looks like a number."""

BAD = {
    "text": ("'text'", "7", "{soon}"),
    "text that isn't UTF-8": ("CAST(x'ff' AS TEXT)", "7", "{soon}"),
    "no data": ("NULL", "7", "{soon}"),
    "a number": ("5", "7", "{soon}"),
    "version text": ("x'00'", "'one'", "{soon}"),
    "version float": ("x'00'", "1.5", "{soon}"),
    "version null": ("x'00'", "NULL", "{soon}"),
    "expiry text": ("x'00'", "7", "'tomorrow'"),
    "expiry float": ("x'00'", "7", "{soon}.5"),
    "expiry null": ("x'00'", "7", "NULL"),
    "expiry blob": ("x'00'", "7", "x'ff'"),
}


@pytest.mark.parametrize("row", BAD.values(), ids=BAD)
async def test_a_row_that_isnt_a_session_is_corrupt_alone(
    tmp_path: Path, key: str, soon: int, row: tuple[str, ...], clock: FakeClock
) -> None:
    path, good = tmp_path / "sessions.db", key_of(new_id())
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{LOOSE} INSERT INTO starlette_sessions VALUES ('{key}', {', '.join(row).format(soon=soon)})")
        db.text_factory = bytes
        before = db.execute("SELECT key, data, version, expires_at FROM starlette_sessions").fetchall()
    outcomes: dict[str, Any] = {}

    async def call(name: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            outcomes[name] = await coroutine
        except CorruptRecord as error:
            outcomes[name] = str(error)

    async with SQLiteStore(path, clock=clock) as store:
        assert await store.create(good, b"good", soon)
        async with anyio.create_task_group() as group:  # in one batch with calls for a good row
            group.start_soon(call, "bad", store.load(key))
            group.start_soon(call, "good", store.load(good))
            group.start_soon(call, "create", store.create(key, b"new", soon))
            group.start_soon(call, "replace", store.replace(key, b"new", soon, 7))
            group.start_soon(call, "touch", store.touch(key, soon))
            group.start_soon(call, "good touch", store.touch(good, soon + 1))
        assert outcomes["good"].data == b"good"
        assert "wrong type" in outcomes["bad"]
        assert key not in outcomes["bad"]
        assert [outcomes[name] for name in ("create", "replace", "touch", "good touch")] == [False, False, False, True]
        with closing(sqlite3.connect(path)) as db:
            db.text_factory = bytes
            after = db.execute(
                "SELECT key, data, version, expires_at FROM starlette_sessions WHERE key = ?", (key,)
            ).fetchall()
        assert after == before, "it is left as it is"
        assert await store.delete(key), "and can be removed"
        assert await store.load(key) is None


async def test_keys_that_arent_keys_are_passed_over(tmp_path: Path, key: str, soon: int) -> None:
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        with closing(sqlite3.connect(tmp_path / "sessions.db")) as db, db:
            for number, odd in enumerate(("NULL", "5", "'PHP'", "x'00'", "CAST(x'ff' AS TEXT)", f"'{'A' * 32}'")):
                db.execute(f"INSERT OR IGNORE INTO starlette_sessions VALUES ({odd}, x'00', {number}, {soon}, NULL)")
        assert await store.create(key, b"data", soon)
        assert [key async for key in store.all_keys()] == [key]


# One call of a batch that fails


async def batch(store: SQLiteStore, *calls: Callable[[sqlite3.Connection], Any]) -> list[Any]:
    """Run them in one transaction; results or errors in their order."""
    outcomes: dict[int, Any] = {}

    async def one(number: int, call: Callable[[sqlite3.Connection], Any]) -> None:
        try:
            outcomes[number] = await store._write(call)
        except Exception as error:
            outcomes[number] = error

    with closing(sqlite3.connect(store._path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as group:
            group.start_soon(one, -1, lambda db: None)  # waits for the lock, while the others queue behind it
            await anyio.wait_all_tasks_blocked()
            for number, call in enumerate(calls):
                group.start_soon(one, number, call)
                await anyio.wait_all_tasks_blocked()
            assert len(store._writer._queue().waiting) == len(calls)
            other.execute("ROLLBACK")
    return [outcomes[number] for number in range(len(calls))]


def insert(key: str, data: bytes) -> Callable[[sqlite3.Connection], Any]:
    statement = "INSERT INTO starlette_sessions VALUES (?, ?, 1, 2000000000, NULL)"
    return lambda db: db.execute(statement, (key, data)).rowcount


async def test_a_session_that_the_disk_has_no_room_for_fails_alone(tmp_path: Path) -> None:
    keys = [key_of(new_id()) for _ in range(3)]
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        pages = await store._write(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await store._write(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 1}"))
        outcomes = await batch(store, insert(keys[0], b"x"), insert(keys[1], b"x" * 900_000), insert(keys[2], b"x"))
        assert outcomes[::2] == [1, 1]
        assert type(outcomes[1]) is StoreFull
        assert {key async for key in store.all_keys()} == {keys[0], keys[2]}


async def test_a_call_that_raises_undoes_what_it_wrote_and_nothing_else(tmp_path: Path) -> None:
    keys = [key_of(new_id()) for _ in range(3)]

    def fault(db: sqlite3.Connection) -> None:
        insert(keys[1], b"x")(db)
        raise ZeroDivisionError

    async with SQLiteStore(tmp_path / "sessions.db") as store:
        outcomes = await batch(store, insert(keys[0], b"x"), fault, insert(keys[2], b"x"))
        assert outcomes[::2] == [1, 1]
        assert type(outcomes[1]) is ZeroDivisionError
        assert {key async for key in store.all_keys()} == {keys[0], keys[2]}


async def test_a_file_that_cant_be_opened_is_tried_once_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[None] = []
    store = SQLiteStore(tmp_path / "nowhere" / "sessions.db")
    renew = store._connections.renew

    def counted() -> None:
        tries.append(None)
        renew()

    monkeypatch.setattr(store._connections, "renew", counted)
    errors: list[Exception] = []

    async def load() -> None:
        with pytest.raises(StoreUnavailable) as caught:
            await store.load("a" * 32)
        errors.append(caught.value)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(load)
    assert len(errors) == 10
    assert len(tries) <= 2
