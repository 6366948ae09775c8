"""The row of one session, whatever other requests do to it meanwhile: fetch, insert, swap, move, renew, remove.

A change is given as a function of the freshest row, and is tried until no other request came
between. Everything rests on the store's `create`, `replace` and `delete` by version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .errors import SessionGone, StoreError
from .guard import Guard
from .ids import Successors, key_of, new_id, new_nonce
from .pauses import Pauses
from .record import END_OF_TIME, Alias, Lifetimes, Record, decode
from .stores.base import SessionStore

ID_TRIES = 3
"""How many fresh ids may be taken already before the random source, or the store, must be broken."""

FORWARDING = 3600
"""Seconds for which requests and sockets that were under way at a renewal still find the session."""

CLOCKS_APART = 3600
"""Seconds by which the clocks of processes may differ about the end of another middleware's cookie."""


class Row(NamedTuple):
    """A session as loaded or just written. `version` is None where only another load can tell it."""

    session_id: str
    record: Record
    expires_at: int
    version: Any = None

    def __repr__(self) -> str:
        return f"Row({self.record!r}, expires_at={self.expires_at})"  # no id: a repr ends up in logs


Change = Callable[[Row], Row | None]
"""What a row should become: itself, or another with no version yet. None: nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a store. `clock` gives unix seconds, `successors` the ids of renewed sessions."""

    store: SessionStore
    lifetimes: Lifetimes
    clock: Callable[[], float]
    successors: Successors = field(repr=False)
    guard: Guard = field(repr=False)

    async def fetch(self, session_id: str) -> Row | None:
        """The row of an id that a request came with; None if it is absent or expired. Raises `CorruptRecord`.

        Where the session was renewed, and the old id still leads to it, this is the row of the
        new id. One step and no more: whoever has seen an id that has been renewed twice is late.
        """
        found = await self._read(session_id)
        if not isinstance(found, Alias):
            return found
        if self.clock() >= found.until:
            return None
        found = await self._read(self._successor(session_id, found))
        return None if isinstance(found, Alias) else found

    async def latest(self, row: Row) -> Row:
        """The row of a session that is in use, under whatever id it has now. Raises `SessionGone`.

        Who had the session before it was renewed goes on with it, also when the old id opens
        nothing to others any more, and through any number of renewals.
        """
        session_id: str | None = row.session_id
        found = await self._read(session_id)
        while session_id is not None and isinstance(found, Alias):
            session_id = self._successor(session_id, found)
            found = await self._read(session_id)
        if not isinstance(found, Row):
            raise SessionGone("the session was destroyed, rotated or expired meanwhile; its changes weren't saved")
        return found

    async def insert(self, body: bytes, created_at: int, lifetime: int | None) -> Row:
        """Make a row under a new id."""
        for _ in range(ID_TRIES):
            row = await self._create(new_id(), body, created_at, lifetime)
            if row is not None:
                return row
        raise StoreError("the store says that several fresh ids are taken: it doesn't keep the contract of `create`")

    async def swap(self, row: Row, change: Change) -> Row | None:
        """Compare-and-swap. Returns what the row has become. Raises `SessionGone` and `SessionConflict`."""
        pauses = Pauses()
        row = await self._known(row)
        while True:
            wanted = change(row)
            if wanted is row:  # nothing to do, or somebody else has written just this
                return row
            if await self._put(row, wanted):
                return wanted
            await pauses.wait()
            row = await self.latest(row)

    async def move(self, row: Row, change: Callable[[Row], Record]) -> Row:
        """Move a session to a new id; the old one is worthless at once. Raises as `swap` does.

        The new row comes first: nobody knows its id yet, so a crash leaves the old session as it
        was, never with more rights. Deleting the old row by its version is what decides: if a
        parallel request wrote meanwhile its changes are taken along, and if one destroyed or
        moved the session, that stands.
        """
        pauses = Pauses()
        row = await self._known(row)
        while True:
            record = change(row)
            moved = await self.insert(record.body, record.created_at, record.lifetime)
            if await self._delete(row):
                return moved
            await self._delete(moved)
            await pauses.wait()
            row = await self.latest(row)

    async def renew(self, row: Row, change: Change, grace: int) -> tuple[Row | None, bool]:
        """Give a session a new id, and let the old one lead to it for `grace` seconds. Raises as `swap` does.

        As in `move` the new row comes first, and the compare-and-swap of the old one decides: it
        becomes an alias. Of parallel renewals one wins, and the others change what it has made.
        Returns what the row has become, and whether it was renewed here.
        """
        pauses = Pauses()
        session_id = row.session_id
        row = await self._known(row)
        while row.session_id == session_id and (wanted := change(row)) is not None:
            record, nonce = wanted.record, new_nonce()
            successor = self.successors.make(session_id, nonce)
            renewed = await self._create(successor, record.body, record.created_at, record.lifetime)
            if renewed is not None:
                if await self._alias(row, renewed, nonce, grace):
                    return renewed, True
                await self._delete(renewed)
            await pauses.wait()
            row = await self.latest(row)
        return await self.swap(row, change), False

    async def adopt(self, legacy_id: str, body: bytes, valid_until: int) -> tuple[Row | None, bool]:
        """The session of another middleware's cookie, and whether it was made now; None if it has ended.

        It is made once: an alias under the cookie's own id leads to it as long as the cookie may
        be valid, also when the session is gone. Of parallel requests one wins, for the others as well.
        """
        if await self._read(legacy_id) is None:
            nonce = new_nonce()
            row = await self._create(self.successors.make(legacy_id, nonce), body, int(self.clock()), None)
            if row is not None:
                until = min(valid_until + CLOCKS_APART, END_OF_TIME)
                alias = Alias(key_of(legacy_id), until, nonce, row.record.key)
                if await self._make(alias.key, alias.encode(), until):
                    return row, True
                await self._delete(row)
        return await self.fetch(legacy_id), False

    async def touch(self, row: Row) -> Row | None:
        """Move the expiry of a row that was used now, whatever it holds; None if it is gone."""
        expires_at = self.lifetimes.expires_at(row.record, self.clock())
        with self.guard.watch("touch", row.record.key):
            touched = await self.store.touch(row.record.key, expires_at)
        return row._replace(expires_at=expires_at) if touched else None

    async def remove(self, row: Row) -> Row | None:
        """Delete a session, whatever others write meanwhile. Returns what was deleted, None if it was gone."""
        pauses = Pauses()
        try:
            row = await self._known(row)
            while not await self._delete(row):
                await pauses.wait()
                row = await self.latest(row)
        except SessionGone:
            return None
        return row

    async def _read(self, session_id: str | None) -> Row | Alias | None:
        if session_id is None:
            return None
        key = key_of(session_id)
        with self.guard.watch("load", key):
            stored = await self.store.load(key)
        now = self.clock()
        if stored is None or now >= stored.expires_at:
            return None
        found = decode(stored.data, key)
        if isinstance(found, Alias):
            return found
        if self.lifetimes.expired(found, now):
            return None
        return Row(session_id, found, stored.expires_at, stored.version)

    def _successor(self, session_id: str, alias: Alias) -> str | None:
        return self.successors.find(session_id, alias.nonce, alias.target)

    async def _create(self, session_id: str, body: bytes, created_at: int, lifetime: int | None) -> Row | None:
        """Make a row; None if the id is taken."""
        now = self.clock()
        record = Record(key_of(session_id), created_at, int(now), lifetime, body)
        expires_at = self.lifetimes.expires_at(record, now)
        made = await self._make(record.key, record.encode(new_nonce()), expires_at)
        return Row(session_id, record, expires_at) if made else None

    async def _alias(self, row: Row, renewed: Row, nonce: str, grace: int) -> bool:
        """Turn the old row into an alias of the new one, if it is still what was loaded.

        The alias stays longer than it leads requests to the session, for those under way.
        """
        now = int(self.clock())
        alias = Alias(row.record.key, now + grace, nonce, renewed.record.key)
        return await self._replace(row, alias.encode(), now + max(grace, FORWARDING))

    async def _put(self, row: Row, wanted: Row | None) -> bool:
        if wanted is None:
            return await self._delete(row)
        return await self._replace(row, wanted.record.encode(new_nonce()), wanted.expires_at)

    async def _make(self, key: str, data: bytes, expires_at: int) -> bool:
        with self.guard.watch("create", key):
            return await self.store.create(key, data, expires_at)

    async def _replace(self, row: Row, data: bytes, expires_at: int) -> bool:
        with self.guard.watch("replace", row.record.key):
            return await self.store.replace(row.record.key, data, expires_at, row.version)

    async def _delete(self, row: Row) -> bool:
        """Delete the row if it is still what was loaded; one that was just made, whatever it is."""
        with self.guard.watch("delete", row.record.key):
            return await self.store.delete(row.record.key, row.version)

    async def _known(self, row: Row) -> Row:
        return row if row.version is not None else await self.latest(row)
