"""The sessions of a store: get, create, update, rotate, renew and delete them.

A change is given as a function of the freshest entry, and is tried until no other request came
between. Everything rests on the store's `create`, `replace` and `delete` by version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .._time import MAX_TIMESTAMP
from ..errors import SessionGone, StoreError
from .backoff import Backoff
from .ids import Successors, key_of, new_id, new_nonce
from .plan import Entry
from .record import Alias, Header
from .rows import Rows

ID_TRIES = 3
"""How many fresh ids may be taken already before the random source, or the store, must be broken."""

ALIAS_RETENTION = 3600
"""Seconds for which requests and sockets that were under way at a renewal still find the session."""

LATE_FOR = 10
"""Seconds for which a request with a replaced id is late rather than new: any page has loaded by then."""

CLOCKS_APART = 60
"""Seconds by which the clocks of servers may differ."""

LEGACY_CLOCKS_APART = 3600
"""Seconds by which the clocks of processes may differ about the end of another middleware's cookie."""

Change = Callable[[Entry], Entry | None]
"""What an entry should become: itself, or another with no version yet. None: nothing is left of it."""


class Replaced(NamedTuple):
    """An id that was replaced a moment ago, and leads to no session.

    `key` is its storage key.
    """

    key: str

    def __repr__(self) -> str:
        return "Replaced()"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SessionRepository:
    """The sessions of a store. `successors` makes the ids of renewed sessions."""

    rows: Rows
    successors: Successors

    async def get(self, session_id: str) -> Entry | Replaced | None:
        """Return the session of a client's id; None if it is absent or expired.

        Raises `CorruptRecord`.
        """
        found = await self.rows.read(session_id)
        return await self.follow(found, session_id) if type(found) is Alias else found

    async def follow(self, alias: Alias, session_id: str) -> Entry | Replaced | None:
        """Return what the alias that is stored under a client's id leads to now.

        One step and no more: a client with an id that was renewed twice is late.
        """
        now = self.rows.clock()
        was_set_back = alias.made_at is not None and now < alias.made_at - CLOCKS_APART  # which reopens no alias
        if was_set_back or now >= alias.until + LATE_FOR:
            return None
        if now < alias.until and (successor := self._successor(session_id, alias)) is not None:
            target = await self.rows.read(successor)
            if not isinstance(target, Alias):
                return target
        return Replaced(alias.key)

    async def refresh(self, entry: Entry) -> Entry:
        """Load a session that is in use again, under its present id.

        Raises `SessionGone`.

        A request that had the session before it was renewed goes on with it, also when the old id
        gives no access to others any more, and through any number of renewals.
        """
        session_id = entry.session_id
        found = await self.rows.read(session_id)
        while isinstance(found, Alias) and (successor := self._successor(session_id, found)) is not None:
            session_id = successor
            found = await self.rows.read(session_id)
        if not isinstance(found, Entry):
            raise SessionGone("the session was destroyed, rotated or expired by another request; nothing was saved")
        return found

    async def create(self, header: Header, body: bytes) -> Entry:
        """Make a session under a new id.

        Its key and time of issue take the place of those in `header`.
        """
        for _ in range(ID_TRIES):
            entry = await self.rows.create(self._new_id(), header, body)
            if entry is not None:
                return entry
        raise StoreError("the store says that several fresh ids are taken: it doesn't keep the contract of `create`")

    async def update(self, entry: Entry, wanted: Entry | None, rebase: Change) -> Entry | None:
        """Compare-and-swap until it succeeds, and return what the entry has become.

        `wanted` is what it should become as far as the caller knows, `rebase` says it for what
        another request has made of it. Raises `SessionGone` and `SessionConflict`.
        """
        if (
            entry.version is not None
            and self.rows.write_queues.is_alone(entry.header.key)
            and await self._put(entry, wanted)
        ):
            return wanted
        async with self.rows.write_queues.turn(entry.header.key):
            backoff = Backoff()
            while True:
                entry = await self.refresh(entry)
                wanted = rebase(entry)
                if wanted is entry:  # nothing to do, or another request has written just this
                    return entry
                if await self._put(entry, wanted):
                    return wanted
                await backoff.sleep()

    async def rotate(self, entry: Entry, change: Change) -> Entry | None:
        """Move a session to a new id; the old one is worthless at once.

        Raises as `update` does.

        The new row comes first: nobody knows its id yet, so a crash leaves the old session as it
        was, never with more rights. The compare-and-swap of the old row decides: if a parallel
        request wrote first its changes are taken along, and if one ended the session, that stands.
        """
        backoff = Backoff()
        entry = await self._fresh(entry)
        while True:
            wanted = change(entry)
            if wanted is None:
                if await self.rows.delete(entry):
                    return None
            else:
                moved = await self.create(wanted.header, wanted.body)
                if await self._mark_replaced(entry):
                    return moved
                await self.rows.delete(moved)
            await backoff.sleep()
            entry = await self.refresh(entry)

    async def renew(self, entry: Entry, change: Change, grace: int) -> tuple[Entry | None, bool]:
        """Give a session a new id, and let the old one lead to it for `grace` seconds.

        As in `rotate` the new row comes first, and the compare-and-swap of the old one decides: it
        becomes an alias. Of parallel renewals one wins, and the others change what it has made.
        Returns what the entry has become, and whether it was renewed here. Raises as `update` does.
        """
        backoff = Backoff()
        session_id = entry.session_id
        entry = await self._fresh(entry)
        while entry.session_id == session_id and (wanted := change(entry)) is not None:
            nonce = new_nonce()
            successor = self.successors.make(session_id, nonce)
            renewed = await self.rows.create(successor, wanted.header, wanted.body)
            if renewed is not None:
                now = int(self.rows.clock())
                alias = Alias(entry.header.key, now + grace, nonce, renewed.header.key, made_at=now)
                if await self.rows.replace_data(entry, alias.encode(), now + max(grace, ALIAS_RETENTION)):
                    return renewed, True
                await self.rows.delete(renewed)
            await backoff.sleep()
            entry = await self.refresh(entry)
        wanted = change(entry)
        return (entry if wanted is entry else await self.update(entry, wanted, change)), False

    async def delete(self, entry: Entry, *, replaced: bool = False) -> Entry | None:
        """End a session, whatever others write, and return what was deleted.

        Return None if it was gone.

        `replaced`: another session takes its place in the client, so that the old id is remembered
        for a moment: a slower request with it must not replace the client's new cookie.
        """
        backoff = Backoff()
        remove = self._mark_replaced if replaced else self.rows.delete
        try:
            entry = await self._fresh(entry)
            while not await remove(entry):
                await backoff.sleep()
                entry = await self.refresh(entry)
        except SessionGone:
            return None
        return entry

    async def import_once(self, legacy_id: str, body: bytes, valid_until: int) -> tuple[Entry | Replaced | None, bool]:
        """Make the session of another middleware's cookie; return None if it has ended.

        Raises `CorruptRecord`.

        It is made once: an alias under the cookie's own id leads to it as long as the cookie may be
        valid, also when the session is gone. Of parallel requests one wins, for the others as well.
        Returns the session, and whether it was made now.
        """
        if await self.rows.read(legacy_id) is None:
            nonce = new_nonce()
            entry = await self.rows.create(self.successors.make(legacy_id, nonce), self.rows.new_header(), body)
            if entry is not None:
                until = min(valid_until + LEGACY_CLOCKS_APART, MAX_TIMESTAMP)
                alias = Alias(key_of(legacy_id), until, nonce, entry.header.key)
                if await self.rows.create_data(alias.key, alias.encode(), until):
                    return entry, True
                await self.rows.delete(entry)
        return await self.get(legacy_id), False

    async def remember_replaced(self, key: str) -> None:
        """Note for a moment that another session took the place of one that was deleted."""
        alias = self._leading_nowhere(key)
        await self.rows.create_data(key, alias.encode(), alias.until + LATE_FOR)

    def _new_id(self) -> str:
        return new_id()

    def _successor(self, session_id: str, alias: Alias) -> str | None:
        return self.successors.find(session_id, alias.nonce, alias.target)

    async def _fresh(self, entry: Entry) -> Entry:
        return entry if entry.version is not None else await self.refresh(entry)

    async def _mark_replaced(self, entry: Entry) -> bool:
        """Turn the row into an alias that leads nowhere, if it is still what was loaded."""
        alias = self._leading_nowhere(entry.header.key)
        return await self.rows.replace_data(entry, alias.encode(), alias.until + LATE_FOR)

    def _leading_nowhere(self, key: str) -> Alias:
        now = int(self.rows.clock())
        return Alias(key, now, new_nonce(), key, made_at=now)

    async def _put(self, entry: Entry, wanted: Entry | None) -> bool:
        if wanted is None:
            return await self.rows.delete(entry)
        return await self.rows.replace(entry, wanted)
