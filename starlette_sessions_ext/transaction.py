"""One session on its way between the store and one request: load, change, save.

`commit` decides what to do, `rows` does it in the store; here the session, its cookie and its
row are kept in step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from .commit import Action, decide, merge
from .cookie import Clear, Issue
from .errors import CorruptRecord, SessionConflict, SessionGone, SessionNotSaved, StoreUnavailable
from .events import EventHandler, EventKind, SessionEvent, logger
from .ids import handle_of, key_of
from .record import Record
from .rows import Row, Rows
from .serializers import Serializer
from .session import Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What all transactions of a middleware share."""

    rows: Rows
    serializer: Serializer
    nothing: bytes  # what the serializer makes of an empty session
    overwrite: bool  # on_conflict="merge": the later of two changes of one key wins
    emit: EventHandler


class Transaction:
    """The session of one request. `cookie` is what the response has to say about it, None for nothing."""

    def __init__(self, settings: Settings) -> None:
        self.session = Session()
        self.session._backing = self
        self.cookie: Issue | Clear | None = None
        self.cookie_sent = False  # once the headers are out, no new id can be handed out
        self._settings = settings
        self._rows = settings.rows
        self._lifetimes = settings.rows.lifetimes
        self._row: Row | None = None
        self._gone = False
        self._outdated = False
        self._moves_expiry = False  # whether the latest draft does

    async def load(self, session_id: str, *, outdated: bool = False) -> None:
        """Fill the session from the store. An unknown, expired or corrupt one leaves it empty and new.

        `outdated`: the cookie was signed by an older secret, so it is sent again.
        """
        try:
            row = await self._rows.fetch(session_id)
            data = {} if row is None else self._loads(row.record.body)
        except CorruptRecord:
            self._settings.emit(SessionEvent(EventKind.CORRUPT, handle_of(key_of(session_id))))
            return
        if row is not None:
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

        def run(fresh: dict[str, Any]) -> bytes:
            nonlocal view
            before = merge(base, mine, fresh, self._dumps).data
            view = self._loads(self._dumps(before))
            results[:] = [fn(view)]
            view = self._loads(self._dumps(view))
            return self._dumps(merge(before, view, fresh, self._dumps).data)

        if self._row is not None:
            await self._swap(self._row, lambda theirs: run(self._loads(theirs.record.body)))
        elif (body := run({})) != self._settings.nothing:
            await self._create(body)
        self._adopt(view)
        return results[0]

    async def _save(self, row: Row | None) -> None:
        """Choose and carry out the one action that this session needs."""
        session = self.session
        empty = not dict.__len__(session)
        if row is None and empty:
            return
        body = row.record.body if row is not None and not session.accessed else self._dumps(session)
        draft = None if row is None else self._draft(row, body)
        action = decide(
            stored=row is not None,
            empty=empty,
            rotate=session._rotate,
            changed=row is not None and draft is not None and draft.record != row.record,
            due=self._moves_expiry,
        )
        if row is None:
            await self._create(body)
        elif action is Action.ROTATE:
            await self._rotate(row, body)
        elif action is Action.TOUCH and draft is not None:
            await self._touch(draft)
        elif action is not Action.NOTHING:
            await self._swap(row, lambda theirs: self._merged(row, body, theirs))
        if self._row is not None and self._row.record.body != body:  # what others changed is part of it now
            self._adopt(self._loads(self._row.record.body))

    async def _create(self, body: bytes) -> None:
        self._check_headers()
        lifetime = self.session._lifetime if self.session._lifetime_set else None
        row = await self._rows.insert(body, int(self._rows.clock()), lifetime)
        self._begin(row, EventKind.CREATED)

    async def _rotate(self, row: Row, body: bytes) -> None:
        self._check_headers()
        try:
            moved = await self._rows.move(row, lambda theirs: self._record(theirs, self._merged(row, body, theirs)))
        except SessionGone:
            self._lose(row)
            raise
        self._begin(moved, EventKind.ROTATED)

    async def _swap(self, row: Row, change: Callable[[Row], bytes]) -> None:
        try:
            saved = await self._rows.swap(row, lambda theirs: self._draft(theirs, change(theirs)))
        except SessionGone:
            self._lose(row)
            raise
        if saved is None:
            self._end(row)
            return
        self._keep(saved)
        if self._moves_expiry:
            self._send_again(saved)

    async def _touch(self, row: Row) -> None:
        try:
            moved = await self._rows.store.touch(row.record.key, row.expires_at)
        except StoreUnavailable as error:  # nothing is lost but time: the next request moves it
            logger.warning("a session's expiry couldn't be moved: %s", error)
            return
        if moved:
            self._keep(row)
            self._send_again(row)

    async def _destroy(self, row: Row) -> None:
        removed = await self._rows.store.delete(row.record.key)
        self._keep(None)
        if removed:  # if somebody else destroyed it, only that response clears the cookie
            self._end(row)

    def _merged(self, base: Row, body: bytes, theirs: Row) -> bytes:
        """My change of `base` into `body`, put onto what another request has saved meanwhile."""
        if theirs.record.body == base.record.body:
            return body
        before, mine, after = (self._loads(one) for one in (base.record.body, body, theirs.record.body))
        merged = merge(before, mine, after, self._dumps)
        if merged.contested and not self._settings.overwrite:
            keys = ", ".join(map(repr, merged.contested))
            raise SessionConflict(f"a parallel request changed the same keys: {keys}. Nothing was saved.")
        self._emit(EventKind.OVERWRITTEN if merged.contested else EventKind.MERGED, theirs)
        return self._dumps(merged.data)

    def _draft(self, row: Row, body: bytes) -> Row | None:
        """What the row should become with this body; None if that leaves nothing. Notes whether its expiry moves."""
        now = self._rows.clock()
        record = self._record(row, body)
        due = self._outdated or self._lifetimes.touch_due(record, row.expires_at, now)
        self._moves_expiry = record.lifetime != row.record.lifetime or (due and not self.cookie_sent)
        if body == self._settings.nothing:
            return None
        expires_at = self._lifetimes.expires_at(record, now) if self._moves_expiry else row.expires_at
        return replace(row, record=record, expires_at=expires_at)

    def _record(self, row: Row, body: bytes) -> Record:
        lifetime = self.session._lifetime if self.session._lifetime_set else row.record.lifetime
        return replace(row.record, body=body, lifetime=lifetime)

    def _adopt(self, data: dict[str, Any]) -> None:
        """Let the session be `data`, keeping the objects that handlers may hold where they are equal."""
        old = dict.copy(self.session)
        dict.clear(self.session)
        for key, value in data.items():
            same = key in old and self._dumps({key: old[key]}) == self._dumps({key: value})
            dict.__setitem__(self.session, key, old[key] if same else value)

    def _keep(self, row: Row | None) -> None:
        session = self.session
        self._row = row
        session._created_at = None if row is None else row.record.created_at
        session._expires_at = None if row is None else row.expires_at
        if not session._lifetime_set:
            session._lifetime = None if row is None else row.record.lifetime

    def _begin(self, row: Row, kind: EventKind) -> None:
        """Go on under a new id."""
        self._keep(row)
        self.cookie = Issue(row.session_id, self._lifetimes.cookie_max_age(row.record, self._rows.clock()))
        self._emit(kind, row)

    def _send_again(self, row: Row) -> None:
        """Send the cookie once more, if that lets it live longer."""
        now = self._rows.clock()
        if self._outdated or self.session._lifetime_set or self._lifetimes.touch_moves_cookie(row.record, now):
            self.cookie = Issue(row.session_id, self._lifetimes.cookie_max_age(row.record, now))
            self._outdated = False

    def _end(self, row: Row) -> None:
        self._keep(None)
        self.cookie = Clear()
        self._emit(EventKind.DESTROYED, row)

    def _lose(self, row: Row) -> None:
        """Another request has ended the session: nothing more can be saved, and the cookie is left alone."""
        self._gone = True
        self._emit(EventKind.DROPPED, row)

    def _check_headers(self) -> None:
        if self.cookie_sent:
            raise SessionNotSaved(
                "the response has started, so no cookie can be sent for a new session id: "
                "fill a new session, and rotate one, before the response"
            )

    def _dumps(self, data: Mapping[str, Any]) -> bytes:
        return self._settings.serializer.dumps(data)

    def _loads(self, body: bytes) -> dict[str, Any]:
        return self._settings.serializer.loads(body)

    def _emit(self, kind: EventKind, row: Row) -> None:
        self._settings.emit(SessionEvent(kind, handle_of(row.record.key)))
