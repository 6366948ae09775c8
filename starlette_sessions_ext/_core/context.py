"""One session of one request: load it, save it, and know what its response has to say.

`plan` decides what is written, `writing` carries it out, `repository` does it in the store.
Operations on one session run one after another. Each takes what the handler asked for before it
began; what the handler asks while it runs stays asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from ..errors import (
    CorruptRecord,
    NotSerializable,
    SessionConflict,
    SessionGone,
    SessionNotSaved,
    SessionTooLarge,
    StoreUnavailable,
)
from ..events import EventHandler, EventKind, SessionEvent, logger
from ..legacy_cookies import LegacySession
from ..serializers import Serializer
from ..session import NO_INTENT, Intent, Session
from .atomic import refuse_async
from .ids import handle_of, id_of_legacy, key_of
from .merge import adopt
from .plan import ClearCookie, CookieState, Entry, Plan, SetCookie, plan
from .repository import Replaced, SessionRepository
from .writing import write, write_atomically

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What all requests of a middleware share."""

    repository: SessionRepository
    serializer: Serializer
    empty_body: bytes  # what the serializer makes of an empty session
    overwrites: bool  # on_conflict="merge": the later of two changes of one key wins
    degrades: bool  # on_store_error="anonymous": a session that can't be loaded is an empty one
    emit: EventHandler


_NOTHING_WRITTEN = (SessionConflict, SessionGone, SessionNotSaved, SessionTooLarge)
"""What a save raises where it is sure to have stored nothing."""


class SessionContext:
    """The session of one request, and in `cookie` what the response has to say about its cookie.

    `entry` is the session as the store has it as far as we know, None for not at all. `writable`:
    the response's headers are still to come, so that a new id can be handed out.
    """

    __slots__ = (
        "_idle",
        "_is_socket",
        "_next_write_at",
        "_outdated",
        "attempts",
        "client_id",
        "config",
        "cookie",
        "ended_key",
        "entry",
        "is_busy",
        "is_gone",
        "kept_alive_at",
        "other_ids",
        "replaced_key",
        "session",
        "writable",
    )

    def __init__(self, config: SessionConfig, *, is_socket: bool = False) -> None:
        self.config = config
        self._is_socket = is_socket
        self.session = Session()
        self.session._persistence = self
        self.entry: Entry | None = None
        self.cookie: SetCookie | ClearCookie | None = None
        self.writable = True
        self.client_id: str | None = None  # the id that the client has, or is about to be given
        self._outdated = False  # the client's cookie has to be sent again
        self.other_ids: Sequence[str] = ()  # of further cookies that verified
        self.attempts: tuple[bytes, ...] = ()  # what writes of unknown outcome may have stored
        self.ended_key: str | None = None  # of a session that this request has ended
        self.replaced_key: str | None = None  # the client's id was replaced a moment ago
        self.is_gone = False  # another request has ended the session
        self._next_write_at = 0.0  # unix seconds: before that a mere use has nothing to write and no cookie to send
        self.is_busy = False
        self._idle: anyio.Event | None = None
        self.kept_alive_at = 0.0  # when `keep_alive` last looked, in unix seconds

    async def load(self, session_ids: Sequence[str], *, outdated: bool = False) -> None:
        """Fill the session with the first of the client's ids that has one. Otherwise it stays new.

        `outdated`: the first cookie has to be sent again, such as after a change of secret.
        """
        if len(session_ids) == 1:
            self.client_id, self._outdated = session_ids[0], outdated
        else:  # the client has several ids, so it is sent the one in use
            self.other_ids = session_ids
        try:
            for session_id in session_ids:
                try:
                    found = await self.config.repository.get(session_id)
                    if isinstance(found, Entry):
                        self._fill(found)
                        return
                except CorruptRecord:
                    self.emit(EventKind.CORRUPT, key_of(session_id))
                    continue
                if found is not None:
                    self.replaced_key = found.key
        except StoreUnavailable as error:
            self.degrade(error)

    async def import_legacy(self, legacy: LegacySession) -> None:
        """Fill the session from another middleware's, or from what has become of it since."""
        legacy_id = id_of_legacy(legacy.identity)
        try:
            body = self.dumps(legacy.data)
        except NotSerializable as error:
            logger.warning("another middleware's session was left out: %s", error)
            return
        try:
            entry, is_new = await self.config.repository.import_once(legacy_id, body, legacy.valid_until)
            if isinstance(entry, Replaced):
                self.replaced_key = entry.key
            elif entry is not None:
                self._fill(entry)
                if is_new:
                    self.emit(EventKind.MIGRATED, entry.record.key)
        except CorruptRecord:
            self.emit(EventKind.CORRUPT, key_of(legacy_id))

    def degrade(self, error: StoreUnavailable) -> None:
        """Go on with an empty session that can't be changed, if the settings say so, or raise."""
        if not self.config.degrades:
            raise error
        logger.error("went on without the session: %s", error)
        self.session._degraded = True

    def has_work(self) -> bool:
        """Return whether there is something to save, or upkeep that is due."""
        if self.entry is not None and self.config.repository.clock() >= self._next_write_at:
            return True
        return self.has_changed()

    def has_changed(self) -> bool:
        """Return whether the handler has changed something since the session was loaded or saved."""
        session, entry = self.session, self.entry
        if session.modified or self.attempts:
            return True
        if not session._lent or entry is None:
            return False
        try:
            return self.dumps(session._data()) != entry.record.body
        except NotSerializable:  # the commit says why
            return True

    async def commit(self, *, refreshes: bool = False) -> None:
        """Save what changed since the last commit. Raises `SessionGone` if there is nothing to save to.

        `refreshes`: where there is nothing to save, load what others have saved.
        """
        if self.is_busy:
            await self._turn()
        self.is_busy = True
        session, before = self.session, self.entry
        intent, modified = session._intent, session.modified
        session._intent, session.modified = NO_INTENT, False
        body = None
        try:
            body = self._body(modified)
            await write(self, intent, body)
            if refreshes and before is not None and self.entry is before:
                await self._refresh(before)
        except BaseException as error:
            session._intent = intent.then(session._intent)
            session.modified = session.modified or modified
            if body is not None and self.entry is not None and not isinstance(error, _NOTHING_WRITTEN):
                self.attempts = (*self.attempts, body)
            raise
        finally:
            self._release()

    async def save(self) -> None:
        """See `Session.save`."""
        if self.session._degraded:
            self.refuse()
        await self.commit(refreshes=not self.writable)

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """See `Session.atomic`."""
        refuse_async(fn)
        if self.session._degraded:
            self.refuse()
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

    # Loading

    def _fill(self, entry: Entry) -> None:
        """Take over a loaded session. Raises `CorruptRecord`."""
        dict.update(self.session, self.config.serializer.loads(entry.record.body))
        self.replaced_key = None
        self.set_entry(entry)

    async def _refresh(self, entry: Entry) -> None:
        """Take over what parallel requests have saved; nothing changed here."""
        try:
            latest = await self.config.repository.refresh(entry)
        except SessionGone:
            self.is_gone = True
            raise
        self.set_entry(latest)
        self.adopt(entry.record.body, latest.record.body)

    # Writing

    def _body(self, modified: bool) -> bytes:
        """Return the session as bytes. Raises `NotSerializable`."""
        if self.entry is not None and not modified and not self.session._lent:
            return self.entry.record.body
        return self.dumps(self.session._data())

    def plan(self, entry: Entry, body: bytes, intent: Intent, *, renews: bool = True) -> Plan:
        config = self.config
        return plan(
            entry,
            None if body == config.empty_body else body,
            intent,
            CookieState(self.client_id, self._outdated, self.writable),
            config.repository.lifetimes,
            config.repository.clock(),
            renews=renews and not self._is_socket,  # some servers drop the headers of a handshake
        )

    def refuse(self) -> None:
        raise StoreUnavailable(
            "the session couldn't be loaded when this request began, so nothing of it can be changed"
        )

    # After reading and writing

    def set_entry(self, entry: Entry | None) -> None:
        """Record the entry as last read from, or written to, the store."""
        self.entry = self.session._stored = entry
        if entry is None:
            return
        if self._outdated or (entry.session_id != self.client_id and self.writable):
            self._next_write_at = 0.0
        else:
            repository = self.config.repository
            self._next_write_at = repository.lifetimes.next_write_at(entry.record, entry.expires_at, repository.clock())

    def send_id(self, entry: Entry) -> None:
        repository = self.config.repository
        self.cookie = SetCookie(entry.session_id, repository.lifetimes.cookie_max_age(entry.record, repository.clock()))
        self.client_id = entry.session_id
        self._outdated = False

    def lose(self, key: str) -> None:
        """Another request has ended the session: nothing more can be saved, and the cookie is left alone."""
        self.is_gone = True
        self.emit(EventKind.DROPPED, key)

    def adopt(self, base: bytes, theirs: bytes) -> None:
        """Take over what was saved, except where the session has changed since it was `base`.

        If it has been ended since, nothing of before may enter what is put in afterwards.
        """
        if not self.session._intent.end:
            adopt(self.session, self.loads(base), self.loads(theirs), self.dumps)
            self.session._lend_all()  # to views of the session that handlers may hold

    def dumps(self, data: Any) -> bytes:
        return self.config.serializer.dumps(data)

    def loads(self, body: bytes) -> dict[str, Any]:
        return self.config.serializer.loads(body)

    def emit(self, kind: EventKind, key: str) -> None:
        self.config.emit(SessionEvent(kind, handle_of(key)))
