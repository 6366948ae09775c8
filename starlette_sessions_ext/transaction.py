"""One session on its way between the store and one request: load, change, save.

`commit` decides what to do; this module does it. What several requests do to one session at once
is settled by the store's compare-and-swap and by merging, both in `_swap`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import anyio

from .commit import Action, decide, merge
from .errors import CorruptRecord, SessionConflict, SessionGone, SessionNotSaved, StoreError, StoreUnavailable
from .events import EventHandler, EventKind, SessionEvent, logger
from .ids import handle_of, key_of, new_id, new_nonce
from .record import Lifetimes, Record, decode
from .serializers import Serializer
from .session import Session
from .stores.base import SessionStore

T = TypeVar("T")

CONFLICT_DEADLINE = 10.0
"""Seconds for which a save is merged and tried again while others win."""

ID_TRIES = 3
"""How many fresh ids may be taken already before the random source, or the store, must be broken."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all transactions of a middleware share."""

    store: SessionStore
    serializer: Serializer
    lifetimes: Lifetimes
    overwrite: bool  # on_conflict="merge": the later of two changes of one key wins
    clock: Callable[[], float]
    emit: EventHandler


@dataclass(frozen=True, slots=True)
class Issue:
    """A cookie to send: this id, for `max_age` seconds."""

    session_id: str = field(repr=False)
    max_age: int | None


class Clear:
    """A cookie to remove."""


class Row(NamedTuple):
    """A loaded or just written row. `version` is None where only another load can tell it."""

    record: Record
    expires_at: int
    version: Any


class Transaction:
    """The session of one request. `cookie` is what the response has to say about it, None for nothing."""

    def __init__(self, settings: Settings) -> None:
        self.session = Session()
        self.session._backing = self
        self.cookie: Issue | Clear | None = None
        self.cookie_sent = False  # once the headers are out, no new id can be handed out
        self._settings = settings
        self._id = ""
        self._row: Row | None = None
        self._gone = False
        self._outdated = False

    async def load(self, session_id: str, *, outdated: bool = False) -> None:
        """Fill the session from the store. An unknown, expired or corrupt one leaves it empty and new.

        `outdated`: the cookie was signed by an older secret, so it is sent again.
        """
        key = key_of(session_id)
        try:
            row = await self._fetch(key)
            data = {} if row is None else self._settings.serializer.loads(row.record.body)
        except CorruptRecord:
            self._emit(EventKind.CORRUPT, key)
            return
        if row is not None:
            self._id = session_id
            self._outdated = outdated
            self._keep(row)
            dict.update(self.session, data)

    async def commit(self) -> None:
        """Save what changed since the last commit. Raises `SessionGone` if there is nothing left to save to."""
        session = self.session
        if self._gone:
            raise SessionGone("the session ended while this request ran; its changes weren't saved")
        if self._row is not None and (session._destroy or (session._cleared and not dict.__len__(session))):
            await self._destroy(self._row)
        await self._save(self._row)
        session._destroy = session._cleared = session._rotate = session._lifetime_set = False

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """See `Session.atomic`."""
        if self._gone or self.session._destroy or self.session._rotate:
            await self.commit()  # what fn changes must not end up under an id that is about to go
        base = {} if self._row is None else self._loads(self._row.record.body)
        mine = self._loads(self._dumps(self.session))
        view: dict[str, Any] = {}
        results: list[T] = []

        def change(theirs: Row | None) -> bytes:
            nonlocal view
            fresh = {} if theirs is None else self._loads(theirs.record.body)
            before = merge(base, mine, fresh, self._dumps).data
            view = self._loads(self._dumps(before))
            results[:] = [fn(view)]
            view = self._loads(self._dumps(view))
            return self._dumps(merge(before, view, fresh, self._dumps).data)

        if self._row is not None:
            await self._swap(self._row, change)
        elif (body := change(None)) != self._dumps({}):
            await self._create(body)
        self._adopt(view)
        return results[0]

    async def _save(self, row: Row | None) -> None:
        """Choose and carry out the one action that this session needs."""
        session = self.session
        body = self._dumps(session) if session.accessed or row is None else row.record.body

        def change(theirs: Row) -> bytes:
            return body if row and theirs.record.body == row.record.body else self._merged(row, body, theirs)

        action = decide(
            stored=row is not None,
            empty=not dict.__len__(session),
            rotate=session._rotate,
            changed=row is not None and (body != row.record.body or self._lifetime(row) != row.record.lifetime),
            due=row is not None and self._due(row, row.record),
        )
        if action is Action.CREATE:
            await self._create(body)
        elif row is not None:
            if action is Action.ROTATE:
                await self._rotate(row, change)
            elif action is Action.TOUCH:
                await self._touch(row)
            elif action is not Action.NOTHING:
                await self._swap(row, change)
            if self._row is not None and self._row.record.body != body:  # what others changed is part of it now
                self._adopt(self._loads(self._row.record.body))

    async def _swap(self, row: Row, change: Callable[[Row], bytes]) -> None:
        """Compare-and-swap what `change` makes of the freshest row, until no other request comes between."""
        key = row.record.key
        pauses = _Pauses()
        if row.version is None:
            row = await self._fetch_live(key)
        while not await self._put(row, change(row)):
            await pauses.wait()
            row = await self._fetch_live(key)

    async def _put(self, row: Row, body: bytes) -> bool:
        """One compare-and-swap. A session that is left empty goes, row and cookie."""
        store, lifetimes, now = self._settings.store, self._settings.lifetimes, self._settings.clock()
        record = replace(row.record, body=body, lifetime=self._lifetime(row))
        due = self._due(row, record)
        if body == self._dumps({}):
            removed = await store.delete(record.key, row.version)
            if removed:
                self._forget(record.key)
            return removed
        if record == row.record and not due:  # somebody else has written just this
            self._keep(row)
            return True
        expires_at = lifetimes.expires_at(record, now) if due else row.expires_at
        if not await store.replace(record.key, record.encode(new_nonce()), expires_at, row.version):
            return False
        self._keep(Row(record, expires_at, None))
        if due:
            self._issue(record, now)
        return True

    async def _create(self, body: bytes) -> None:
        lifetime = self.session.lifetime if self.session._lifetime_set else None
        row = await self._insert(body, int(self._settings.clock()), lifetime)
        self._emit(EventKind.CREATED, row.record.key)

    async def _rotate(self, row: Row, change: Callable[[Row], bytes]) -> None:
        """Move the session to a new id; the old one is worthless at once.

        The new row comes first: nobody knows its id yet, so a crash leaves the old session as it
        was, never with more rights. Deleting the old row by its version is what decides: if a
        parallel request wrote meanwhile its changes are taken along, and if one destroyed or
        rotated the session, that stands.
        """
        old, pauses = row.record.key, _Pauses()
        if row.version is None:
            row = await self._fetch_live(old)
        while True:
            new = await self._insert(change(row), row.record.created_at, self._lifetime(row))
            if await self._settings.store.delete(old, row.version):
                break
            self.cookie = None
            await self._settings.store.delete(new.record.key)
            await pauses.wait()
            row = await self._fetch_live(old)
        self._emit(EventKind.ROTATED, new.record.key)

    async def _insert(self, body: bytes, created_at: int, lifetime: int | None) -> Row:
        """Make a row under a new id, and the cookie for it."""
        if self.cookie_sent:
            raise SessionNotSaved(
                "the response has started, so no cookie can be sent for a new session id: "
                "fill a new session, and rotate one, before the response"
            )
        settings = self._settings
        for _ in range(ID_TRIES):
            self._id = new_id()
            record = Record(key_of(self._id), created_at, lifetime, body)
            now = settings.clock()
            expires_at = settings.lifetimes.expires_at(record, now)
            if await settings.store.create(record.key, record.encode(new_nonce()), expires_at):
                row = Row(record, expires_at, None)
                self._keep(row)
                self.cookie = Issue(self._id, settings.lifetimes.cookie_max_age(record, now))
                return row
        raise StoreError("the store says that several fresh ids are taken: it doesn't keep the contract of `create`")

    async def _touch(self, row: Row) -> None:
        now = self._settings.clock()
        expires_at = self._settings.lifetimes.expires_at(row.record, now)
        try:
            moved = await self._settings.store.touch(row.record.key, expires_at)
        except StoreUnavailable as error:  # nothing is lost but time: the next request moves it
            logger.warning("a session's expiry couldn't be moved: %s", error)
            return
        if moved:
            self._keep(row._replace(expires_at=expires_at))
            self._issue(row.record, now)

    async def _destroy(self, row: Row) -> None:
        if await self._settings.store.delete(row.record.key):
            self._forget(row.record.key)
        else:  # somebody else destroyed it: only that response clears the cookie
            self._row = None

    async def _fetch(self, key: str) -> Row | None:
        stored = await self._settings.store.load(key)
        if stored is None:
            return None
        now = self._settings.clock()
        record = decode(stored.data, key)
        if now >= stored.expires_at or self._settings.lifetimes.expired(record, now):
            return None
        return Row(record, stored.expires_at, stored.version)

    async def _fetch_live(self, key: str) -> Row:
        row = await self._fetch(key)
        if row is None:
            self._gone = True
            self._emit(EventKind.DROPPED, key)
            raise SessionGone("the session was destroyed, rotated or expired meanwhile; its changes weren't saved")
        return row

    def _merged(self, base: Row | None, body: bytes, theirs: Row) -> bytes:
        """My change of `base` into `body`, put onto what another request has saved meanwhile."""
        before = {} if base is None else self._loads(base.record.body)
        merged = merge(before, self._loads(body), self._loads(theirs.record.body), self._dumps)
        if merged.contested and not self._settings.overwrite:
            keys = ", ".join(map(repr, merged.contested))
            raise SessionConflict(f"a parallel request changed the same keys: {keys}. Nothing was saved.")
        self._emit(EventKind.OVERWRITTEN if merged.contested else EventKind.MERGED, theirs.record.key)
        return self._dumps(merged.data)

    def _adopt(self, data: dict[str, Any]) -> None:
        """Let the session be `data`, keeping the objects that handlers may hold where they are equal."""
        old = dict.copy(self.session)
        dict.clear(self.session)
        for key, value in data.items():
            same = key in old and self._dumps({key: old[key]}) == self._dumps({key: value})
            dict.__setitem__(self.session, key, old[key] if same else value)

    def _due(self, row: Row, record: Record) -> bool:
        """Whether the expiry has to be moved, and the cookie with it."""
        if record.lifetime != row.record.lifetime:
            return True
        due = self._settings.lifetimes.touch_due(record, row.expires_at, self._settings.clock())
        return not self.cookie_sent and (self._outdated or due)

    def _lifetime(self, row: Row) -> int | None:
        return self.session.lifetime if self.session._lifetime_set else row.record.lifetime

    def _issue(self, record: Record, now: float) -> None:
        lifetimes = self._settings.lifetimes
        if self._outdated or self.session._lifetime_set or lifetimes.touch_moves_cookie(record, now):
            self.cookie = Issue(self._id, lifetimes.cookie_max_age(record, now))
            self._outdated = False

    def _keep(self, row: Row) -> None:
        self._row = row
        self.session.created_at, self.session.expires_at = row.record.created_at, row.expires_at
        if not self.session._lifetime_set:
            self.session.lifetime = row.record.lifetime

    def _forget(self, key: str) -> None:
        self._row = None
        self.session.created_at = self.session.expires_at = None
        if not self.session._lifetime_set:
            self.session.lifetime = None
        self.cookie = Clear()
        self._emit(EventKind.DESTROYED, key)

    def _dumps(self, data: Mapping[str, Any]) -> bytes:
        return self._settings.serializer.dumps(data)

    def _loads(self, body: bytes) -> dict[str, Any]:
        return self._settings.serializer.loads(body)

    def _emit(self, kind: EventKind, key: str) -> None:
        self._settings.emit(SessionEvent(kind, handle_of(key)))


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
