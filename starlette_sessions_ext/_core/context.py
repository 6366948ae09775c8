"""One session of one request: load it, save it, and set its cookie.

`plan` decides what is written, `writing` carries it out, `repository` does it in the store.
Operations on one session run one after another. Each takes what the handler asked for before it
began; what the handler asks while it runs stays asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ..errors import (
    CorruptRecord,
    SessionConflict,
    SessionError,
    SessionGone,
    SessionNotSaved,
    SessionTooLarge,
    StoreUnavailable,
)
from ..events import EventKind, SessionEvent, logger
from ..session import NO_INTENT, Intent, Session
from .atomic import refuse_async
from .config import SessionConfig
from .ids import digest_of, key_of
from .merge import adopt
from .plan import ClearCookie, CookieState, Entry, Plan, SetCookie, plan, plan_data_only
from .refusals import refuse_degraded, refuse_without_users
from .user_changes import after_sign_in, current_user, is_claim_due, note_user
from .writing import write, write_atomically

if TYPE_CHECKING:
    from .session_directory import SessionDirectory

T = TypeVar("T")

_NOTHING_WRITTEN = (SessionConflict, SessionGone, SessionNotSaved, SessionTooLarge)
"""What a save raises where it is sure to have stored nothing."""


class SessionContext:
    """The session of one request, and in `cookie` what becomes of its cookie.

    `entry` is the session as the store has it as far as we know, None for not at all. `client_id` is
    the id that the client has or is about to be given; None if its cookie has to be sent in any case.
    `writable`: the response's headers are still to come, so that a new id can be handed out.
    """

    __slots__ = ("__dict__", "client_id", "config", "cookie", "entry", "session", "writable")

    # What the constructor of a subclass sets: every request makes one, so that there is none here to call.
    config: SessionConfig
    session: Session
    entry: Entry | None
    cookie: SetCookie | ClearCookie | None
    client_id: str | None
    writable: bool

    # What few requests need isn't set for each of them.
    is_socket = False
    other_ids: Sequence[str] = ()  # of further cookies that verified
    attempts: tuple[bytes, ...] = ()  # what writes of unknown outcome may have stored
    ended_key: str | None = None  # of a session that this request has ended
    replaced_key: str | None = None  # the client's id was replaced a moment ago
    is_gone = False  # another request has ended the session
    kept_alive_at = 0.0  # when `keep_alive` last looked, in unix seconds
    is_busy = False
    _idle: anyio.Event | None = None

    def fill(self, entry: Entry) -> None:
        """Take over a loaded session. Raises `CorruptRecord`."""
        dict.update(self.session, self.config.serializer.loads(entry.body))
        self.entry = self.session._stored = entry

    def handle_load_error(self, session_id: str, error: CorruptRecord | StoreUnavailable) -> None:
        """Leave the session new, since it couldn't be read. Raises as `degrade` does."""
        if isinstance(error, StoreUnavailable):
            self.degrade(error)
        else:
            self.emit(EventKind.RECORD_CORRUPT, key_of(session_id))

    def degrade(self, error: StoreUnavailable) -> None:
        """Go on with an empty, unchangeable session if `degrades` is set, or raise."""
        if not self.config.degrades:
            raise error
        logger.error("went on without the session: %s", error)
        self.session._degraded = True

    def has_work(self) -> bool:
        """Return whether there is something to save, or upkeep that is due."""
        session = self.session
        if session.modified:
            return True
        entry = self.entry
        if entry is None:
            return session._lent and self.differs()
        rows = self.config.rows
        if (
            entry.session_id != self.client_id
            or rows.lifetimes.upkeep_due(entry.header, entry.expires_at, rows.clock())
            or (session._lent and self.differs())
        ):
            return True
        return False if rows.users is None else is_claim_due(self, entry)

    def differs(self) -> bool:
        """Return whether the session's data, once encoded, differs from the stored."""
        entry = self.entry
        try:
            body = self.config.serializer.dumps(self.session._data())
            return body != (self.config.empty_body if entry is None else entry.body)
        except SessionError:  # the commit says why
            return True

    async def commit(self, *, refreshes: bool = False) -> None:
        """Save what changed since the last commit.

        Raises `SessionGone` if its row is gone. With `refreshes` and nothing to save, load what others have saved.
        """
        if self.is_busy:
            await self._turn()
        self.is_busy = True
        session, before = self.session, self.entry
        asked, modified = session._intent, session.modified
        session._intent, session.modified = NO_INTENT, False
        intent = asked
        body = None
        try:
            if before is None or modified or session._lent:
                body = self.config.serializer.dumps(session._data())
            else:
                body = before.body
            given = body
            if self.config.rows.users is not None:
                intent, body = note_user(self, before, asked, body)
            if intent is not NO_INTENT or before is None or not await self._replace(before, body):
                await write(self, intent, body)
                if intent.sign_in is not None:
                    await after_sign_in(self, intent.sign_in, given, body)
            if refreshes and before is not None and before is self.entry:
                await self._refresh(before)
        except BaseException as error:
            session._intent = asked.then(session._intent)
            session.modified = session.modified or modified
            if body and self.entry and body != self.entry.body and not isinstance(error, _NOTHING_WRITTEN):
                self.attempts = (*self.attempts, body)
                session.modified = True
            raise
        finally:
            self._release()

    @property
    def directory(self) -> SessionDirectory:
        """The sessions of users; see `Session.directory`."""
        if self.config.directory is None:
            refuse_without_users()
        return self.config.directory

    def now(self) -> float:
        return self.config.rows.clock()

    def user(self) -> str | None:
        """Return the user of the session; see `Session.user`."""
        return current_user(self)

    async def save(self) -> None:
        """Save the session; see `Session.save`."""
        if self.session._degraded:
            refuse_degraded()
        await self.commit(refreshes=not self.writable)

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """Change the session by a function; see `Session.atomic`."""
        refuse_async(fn)
        if self.session._degraded:
            refuse_degraded()
        while True:
            if self.is_busy:
                await self._turn()
            intent = self.session._intent
            if not (intent.end or intent.rotate or self.is_gone):
                break
            await self.commit()  # what fn changes must not end up under an id that is about to go
        self.is_busy = True
        try:
            return await write_atomically(self, fn)
        finally:
            self._release()

    # Operations, one at a time

    async def _turn(self) -> None:
        while self.is_busy:
            if self._idle is None:
                self._idle = anyio.Event()
            await self._idle.wait()

    def _release(self) -> None:
        self.is_busy = False
        if self._idle is not None:
            self._idle.set()
            self._idle = None

    # Loading and saving

    async def _replace(self, entry: Entry, body: bytes) -> bool:
        """Save a session of which only the data may have changed, as in most saves.

        Return False if there is more to save, or another request has written or ended the session.
        """
        rows = self.config.rows
        if self.attempts or self.is_gone or body == self.config.empty_body or entry.version is None:
            return False
        if self.writable and (
            entry.session_id != self.client_id
            or rows.lifetimes.upkeep_due(entry.header, entry.expires_at, rows.clock())
        ):
            return False
        if ((turns := rows.write_queues).writing or turns.queues) and not turns.is_alone(entry.header.key):
            return False
        wanted = plan_data_only(entry, body)
        if wanted is not entry:
            if not await rows.replace(entry, wanted):
                self.entry = entry._replace(version=None)
                return False
            self.set_entry(wanted)
        return True

    async def _refresh(self, entry: Entry) -> None:
        """Take over what parallel requests have saved; nothing changed here."""
        try:
            latest = await self.config.repository.refresh(entry)
        except SessionGone:
            self.is_gone = True
            raise
        self.set_entry(latest)
        self.adopt(entry.body, latest.body)

    def plan(self, entry: Entry, body: bytes, intent: Intent, *, renews: bool = True) -> Plan:
        config = self.config
        return plan(
            entry,
            None if body == config.empty_body else body,
            intent,
            CookieState(self.client_id, self.writable),
            config.rows.lifetimes,
            config.rows.clock(),
            renews=renews and not self.is_socket,  # some servers drop the headers of a handshake
        )

    # After reading and writing

    def set_entry(self, entry: Entry | None) -> None:
        """Record the entry as last read from, or written to, the store."""
        self.entry = self.session._stored = entry

    def send_id(self, entry: Entry) -> None:
        rows = self.config.rows
        self.cookie = SetCookie(entry.session_id, rows.lifetimes.cookie_max_age(entry.header, rows.clock()))
        self.client_id = entry.session_id

    def mark_gone(self, key: str, entry: Entry | None = None) -> None:
        """Save no more and leave the cookie alone: another request ended the session."""
        self.is_gone = True
        self.emit(EventKind.WRITE_DROPPED, key, entry)

    def adopt(self, base: bytes, theirs: bytes) -> None:
        """Take over what was saved, but keep what the session has changed since `base`.

        If it has been ended since, nothing from before may enter what is put in afterwards.
        """
        if not self.session._intent.end:
            typed = self.session._typed
            if typed is not None:
                with suppress(SessionError):  # the next save says what is wrong with an object
                    typed.store(self.session)
            adopt(self.session, self.loads(base), self.loads(theirs), self.dumps, self.config.nested_keys)
            self.session._lend_all()  # to views of the session that handlers may hold
            if typed is not None:
                typed.refresh(self.session)

    def dumps(self, data: Any) -> bytes:
        return self.config.serializer.dumps(data)

    def loads(self, body: bytes) -> dict[str, Any]:
        return self.config.serializer.loads(body)

    def sign_in_details(self) -> str | None:
        """Return what the record keeps of a sign-in in this request, besides its time."""
        raise NotImplementedError

    def emit(self, kind: EventKind, key: str, entry: Entry | None = None) -> None:
        """Report an event of the session under a store key, with what `entry` knows."""
        public_id = None if entry is None else entry.header.public_id
        owner = None if entry is None else self.config.rows.owner_of(entry.body)
        self.config.emit(SessionEvent(kind, public_id, owner, digest_of(key)))
