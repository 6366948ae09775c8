"""The sessions of one owner under locks, and in a statement that several share."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.errors import SessionUnavailable
from starlette_sessions_ext.stores.postgresql import PostgreSQLStore

from ...support.postgresql_server import PostgreSQLServer
from .control import load, locked, until, waiting

pytestmark = pytest.mark.anyio

ANN, BOB = "a" * 32, "b" * 32


async def test_replaces_that_share_a_statement_write_their_own_owners(store: PostgreSQLStore, soon: int) -> None:
    owners: dict[str, str | None] = {key_of(new_id()): owner for owner in (ANN, BOB, None, ANN)}
    for key in owners:
        await store.create(key, b"one", soon, BOB)
    versions = {key: (await load(store, key)).version for key in owners}
    async with anyio.create_task_group() as group:
        for key, owner in owners.items():
            group.start_soon(store.replace, key, b"two", soon, versions[key], owner)
    for one in (ANN, BOB):
        assert set(await store.keys_of(one)) == {key for key, owner in owners.items() if owner == one}


async def test_a_row_that_is_replaced_at_the_same_time_is_ended_too(
    store: PostgreSQLStore, control: Any, key: str, soon: int
) -> None:
    """It waits for the transaction of the one that replaces, and deletes what that has written."""
    await store.create(key, b"one", soon, ANN)
    removed: list[int] = []

    async def end() -> None:
        removed.append(await store.delete_all_of(ANN))

    async with anyio.create_task_group() as group:
        async with control.transaction():
            await control.execute("UPDATE sessions SET data = 'two', version = version + 1 WHERE key = $1", key)
            group.start_soon(end)
            await until(lambda: waiting(control, 1))
    assert removed == [1]
    assert await store.load(key) is None


async def test_one_locked_row_ends_none_and_says_so(
    postgresql: PostgreSQLServer, store: PostgreSQLStore, control: Any, key: str, soon: int
) -> None:
    await store.create(key, b"one", soon, ANN)
    await store.create(key_of(new_id()), b"one", soon, ANN)
    async with PostgreSQLStore(postgresql.url(), timeout=2) as hasty, locked(control, key):
        with pytest.raises(SessionUnavailable, match="55P03"):
            await hasty.delete_all_of(ANN)
    assert await store.delete_all_of(ANN) == 2
