"""The row of one session, whatever other requests do to it meanwhile: fetch, insert, swap, move.

A change is given as a function of the freshest row, and is tried until no other request came
between. Everything rests on the store's `create`, `replace` and `delete` by version.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from .errors import SessionConflict, SessionGone, StoreError
from .ids import key_of, new_id, new_nonce
from .record import Lifetimes, Record, decode
from .stores.base import SessionStore

CONFLICT_DEADLINE = 10.0
"""Seconds for which a change is merged and tried again while others win."""

ID_TRIES = 3
"""How many fresh ids may be taken already before the random source, or the store, must be broken."""


@dataclass(frozen=True, slots=True)
class Row:
    """A session as loaded or just written. `version` is None where only another load can tell it."""

    session_id: str = field(repr=False)
    record: Record
    expires_at: int
    version: Any = field(default=None, repr=False)


Change = Callable[[Row], Row | None]
"""What a row should become: another record or expiry. None: nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a store. `clock` gives unix seconds."""

    store: SessionStore
    lifetimes: Lifetimes
    clock: Callable[[], float]

    async def fetch(self, session_id: str) -> Row | None:
        """The row of an id; None if it is absent or expired. Raises `CorruptRecord`."""
        key = key_of(session_id)
        stored = await self.store.load(key)
        if stored is None:
            return None
        now = self.clock()
        record = decode(stored.data, key)
        if now >= stored.expires_at or self.lifetimes.expired(record, now):
            return None
        return Row(session_id, record, stored.expires_at, stored.version)

    async def insert(self, body: bytes, created_at: int, lifetime: int | None) -> Row:
        """Make a row under a new id."""
        for _ in range(ID_TRIES):
            session_id = new_id()
            record = Record(key_of(session_id), created_at, lifetime, body)
            expires_at = self.lifetimes.expires_at(record, self.clock())
            if await self.store.create(record.key, record.encode(new_nonce()), expires_at):
                return Row(session_id, record, expires_at)
        raise StoreError("the store says that several fresh ids are taken: it doesn't keep the contract of `create`")

    async def swap(self, row: Row, change: Change) -> Row | None:
        """Compare-and-swap. Returns what the row has become. Raises `SessionGone` and `SessionConflict`."""
        pauses = _Pauses()
        row = await self._known(row)
        while True:
            wanted = change(row)
            if wanted == row:  # somebody else has written just this
                return row
            if await self._put(row, wanted):
                return wanted and replace(wanted, version=None)
            await pauses.wait()
            row = await self._fetch_live(row)

    async def move(self, row: Row, change: Callable[[Row], Record]) -> Row:
        """Move a session to a new id; the old one is worthless at once. Raises as `swap` does.

        The new row comes first: nobody knows its id yet, so a crash leaves the old session as it
        was, never with more rights. Deleting the old row by its version is what decides: if a
        parallel request wrote meanwhile its changes are taken along, and if one destroyed or
        moved the session, that stands.
        """
        pauses = _Pauses()
        row = await self._known(row)
        while True:
            record = change(row)
            moved = await self.insert(record.body, record.created_at, record.lifetime)
            if await self.store.delete(row.record.key, row.version):
                return moved
            await self.store.delete(moved.record.key)
            await pauses.wait()
            row = await self._fetch_live(row)

    async def _put(self, row: Row, wanted: Row | None) -> bool:
        key = row.record.key
        if wanted is None:
            return await self.store.delete(key, row.version)
        return await self.store.replace(key, wanted.record.encode(new_nonce()), wanted.expires_at, row.version)

    async def _known(self, row: Row) -> Row:
        return row if row.version is not None else await self._fetch_live(row)

    async def _fetch_live(self, row: Row) -> Row:
        fresh = await self.fetch(row.session_id)
        if fresh is None:
            raise SessionGone("the session was destroyed, rotated or expired meanwhile; its changes weren't saved")
        return fresh


class _Pauses:
    """Waits between tries, longer and longer and of random length, so that writers don't march in step."""

    def __init__(self) -> None:
        self._deadline = anyio.current_time() + CONFLICT_DEADLINE
        self._longest = 0.001

    async def wait(self) -> None:
        if anyio.current_time() > self._deadline:
            raise SessionConflict(f"other requests kept changing this session for {CONFLICT_DEADLINE:.0f} s")
        await anyio.sleep(random.random() * self._longest)
        self._longest = min(2 * self._longest, 0.05)
