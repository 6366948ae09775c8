"""A session as one request has it: the dict, the row and the cookie, kept in step. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .commit import merge
from .errors import SessionConflict
from .events import EventHandler, EventKind, SessionEvent
from .ids import handle_of
from .record import Record
from .reply import Reply
from .rows import Row, Rows
from .serializers import Serializer
from .session import Session

_IMMUTABLE = frozenset({str, int, float, bool, type(None), bytes})
"""What nothing can change in place."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all requests of a middleware share."""

    rows: Rows
    serializer: Serializer
    nothing: bytes  # what the serializer makes of an empty session
    overwrite: bool  # on_conflict="merge": the later of two changes of one key wins
    degrade: bool  # on_store_error="anonymous": a session that can't be loaded is an empty one
    emit: EventHandler


class State:
    """What is known of the session: `row` is how the store has it as far as we know, None for not at all."""

    row: Row | None = None
    gone = False  # another request has ended it
    moves_expiry = False  # whether the latest draft does
    _quiet_until = 0.0  # unix seconds: a use of the row before has nothing to write and no cookie to send
    _mutable: dict[str, Any] | None = None  # what the session holds, if that can change unless a key is set or deleted

    def __init__(self, settings: Settings) -> None:
        self.session = Session()
        self.reply = Reply()
        self._settings = settings
        self._lifetimes = settings.rows.lifetimes
        self._clock = settings.rows.clock

    # Before writing

    def is_quiet(self) -> bool:
        """Whether there is nothing to do, as for most requests: nobody has changed anything, and nothing is due.

        Raises `NotSerializable`.
        """
        row, session = self.row, self.session
        if session.modified or self.gone:
            return False
        if row is None:
            return not dict.__len__(session)
        if self._clock() >= self._quiet_until:
            return False
        if not session.accessed or self._mutable is None:
            return True
        return self.dumps(self._mutable) == row.record.body

    def body(self) -> bytes:
        """The session as bytes. Raises `NotSerializable`."""
        if self.row is not None and not self.session.accessed:
            return self.row.record.body
        return self.dumps(self.session)

    def is_asked(self) -> bool:
        """Whether the handler has done anything to a session that it found empty."""
        session = self.session
        asked = session._destroy or session._cleared or session._rotate or session._lifetime_set
        return asked or session._grace is not None or dict.__len__(session) > 0

    def draft(self, row: Row, body: bytes) -> Row | None:
        """What the row should become with this body: itself if nothing changes, None if that leaves nothing.

        Notes whether its expiry moves; then it is another row, also within the second.
        """
        now = self._clock()
        record = self.record(row, body)
        due = self.reply.outdated or self._lifetimes.touch_due(record, row.expires_at, now)
        self.moves_expiry = record.lifetime != row.record.lifetime or (due and not self.reply.is_sent)
        if body == self._settings.nothing:
            return None
        if record is row.record and not self.moves_expiry:
            return row
        expires_at = self._lifetimes.expires_at(record, now) if self.moves_expiry else row.expires_at
        return Row(row.session_id, record, expires_at)

    def record(self, row: Row, body: bytes) -> Record:
        """The row's record with this body, and the lifetime that the handler set; itself if that changes nothing."""
        lifetime = self.session._lifetime if self.session._lifetime_set else row.record.lifetime
        known = row.record
        if body == known.body and lifetime == known.lifetime:
            return known
        return Record(known.key, known.created_at, known.issued_at, lifetime, body)

    def merged(self, base: Row, body: bytes, theirs: Row) -> bytes:
        """My change of `base` into `body`, put onto what another request has saved meanwhile."""
        if theirs.record.body == base.record.body:
            return body
        before, mine, after = (self.loads(one) for one in (base.record.body, body, theirs.record.body))
        merged = merge(before, mine, after, self.dumps)
        if merged.contested and not self._settings.overwrite:
            keys = ", ".join(map(repr, merged.contested))
            raise SessionConflict(f"a parallel request changed the same keys: {keys}. Nothing was saved.")
        self.emit(EventKind.OVERWRITTEN if merged.contested else EventKind.MERGED, theirs)
        return self.dumps(merged.data)

    def sends_again(self, row: Row) -> bool:
        """Whether moving the expiry sends the cookie once more: if it lives longer then."""
        if self.reply.outdated or self.session._lifetime_set:
            return True
        return self._lifetimes.touch_moves_cookie(row.record, self._clock())

    # After reading and writing

    def fill(self, row: Row) -> None:
        """This is what the store has. Raises `CorruptRecord`."""
        data = self.loads(row.record.body)
        self.keep(row)
        dict.update(self.session, data)
        self._mutable = _mutable(data)  # not the session itself: a plain dict is encoded faster

    def keep(self, row: Row | None) -> None:
        """This is how the store has it now."""
        session = self.session
        self.row = row
        if row is None:
            session._record = session._expires_at = None
            return
        session_id, session._record, session._expires_at, _ = row
        is_due = self.reply.is_due(session_id)
        self._quiet_until = 0.0 if is_due else self._lifetimes.quiet_until(row.record, row.expires_at)

    def adopt(self, data: dict[str, Any]) -> None:
        """Let the session be `data`, keeping the objects that handlers may hold where they are equal."""
        old = dict.copy(self.session)
        dict.clear(self.session)
        for key, value in data.items():
            same = key in old and self.dumps({key: old[key]}) == self.dumps({key: value})
            dict.__setitem__(self.session, key, old[key] if same else value)
        self._mutable = _mutable(self.session)

    def begin(self, row: Row, kind: EventKind) -> None:
        """Go on under a new id."""
        self.issue(row)
        self.keep(row)
        self.emit(kind, row)

    def settle(self, row: Row, saved: Row | None) -> None:
        """Go on with what the row has become; None: nothing was left of it."""
        if saved is None:
            self.end(row)
            return
        self.keep(saved)
        if self.reply.owes(saved.session_id) or (self.moves_expiry and self.sends_again(saved)):
            self.issue(saved)

    def issue(self, row: Row) -> None:
        """Send the row's id."""
        self.reply.issue(row.session_id, self._lifetimes.cookie_max_age(row.record, self._clock()))

    def end(self, row: Row) -> None:
        """It was destroyed by this request."""
        self.keep(None)
        self.reply.clear()
        self.emit(EventKind.DESTROYED, row)

    def lose(self, row: Row) -> None:
        """Another request has ended the session: nothing more can be saved, and the cookie is left alone."""
        self.gone = True
        self.emit(EventKind.DROPPED, row)

    def saved(self) -> None:
        """What the handler asked for is done."""
        session = self.session
        self._mutable = _mutable(session)
        session.modified = session._destroy = session._cleared = session._rotate = session._lifetime_set = False
        session._grace = session._lifetime = None

    def dumps(self, data: Mapping[str, Any]) -> bytes:
        return self._settings.serializer.dumps(data)

    def loads(self, body: bytes) -> dict[str, Any]:
        return self._settings.serializer.loads(body)

    def emit(self, kind: EventKind, row: Row) -> None:
        self._settings.emit(SessionEvent(kind, handle_of(row.record.key)))


def _mutable(data: dict[str, Any]) -> dict[str, Any] | None:
    """The data, unless nothing in it can be changed in place."""
    return None if _IMMUTABLE.issuperset(map(type, dict.values(data))) else data
