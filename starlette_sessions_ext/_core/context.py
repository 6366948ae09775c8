"""One session of one request: load, change, save, and the cookie that follows from it.

`plan` decides what is written and `repository` writes it; this is what is known in between.
Operations on one session run one after another. Each takes what the handler asked for before it
began; what the handler asks while it runs stays asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import anyio

from ..errors import CorruptRecord, NotSerializable, SessionConflict, SessionGone, SessionNotSaved, StoreUnavailable
from ..events import EventHandler, EventKind, SessionEvent, logger
from ..ids import handle_of, id_of_legacy, key_of
from ..legacy import LegacySession
from ..record import RENEW_GRACE
from ..serializers import Serializer
from ..session import NO_INTENT, Intent, Session
from .atomic import AtomicUpdate, refuse_async
from .merge import merge
from .plan import CookieState, Entry, Plan, Write, plan
from .repository import ALIAS_RETENTION, SessionRepository

T = TypeVar("T")


class SetCookie(NamedTuple):
    """A cookie to send: this id, for `max_age` seconds; None: until the browser closes."""

    session_id: str
    max_age: int | None

    def __repr__(self) -> str:
        return f"SetCookie(max_age={self.max_age})"  # never the id: a repr ends up in logs


class ClearCookie:
    """A cookie to remove."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What all requests of a middleware share."""

    repository: SessionRepository
    serializer: Serializer
    empty_body: bytes  # what the serializer makes of an empty session
    overwrites: bool  # on_conflict="merge": the later of two changes of one key wins
    degrades: bool  # on_store_error="anonymous": a session that can't be loaded is an empty one
    emit: EventHandler


class SessionContext:
    """The session of one request, and in `cookie` what the response has to say about its cookie.

    `entry` is the session as the store has it as far as we know, None for not at all. `writable`:
    the response's headers are still to come, so that a new id can be handed out.
    """

    __slots__ = (
        "_client_id",
        "_config",
        "_idle",
        "_is_busy",
        "_is_gone",
        "_is_socket",
        "_looked_at",
        "_next_write_at",
        "_other_ids",
        "_outdated",
        "_replaced_key",
        "cookie",
        "entry",
        "session",
        "writable",
    )

    def __init__(self, config: SessionConfig, *, is_socket: bool = False) -> None:
        self._config = config
        self._is_socket = is_socket
        self.session = Session()
        self.session._persistence = self
        self.entry: Entry | None = None
        self.cookie: SetCookie | ClearCookie | None = None
        self.writable = True
        self._client_id: str | None = None  # the id that the client has, or is about to be given
        self._outdated = False  # the client's cookie has to be sent again
        self._other_ids: Sequence[str] = ()  # of further cookies that verified
        self._replaced_key: str | None = None  # the client's id was replaced a moment ago
        self._is_gone = False  # another request has ended the session
        self._next_write_at = 0.0  # unix seconds: before that a mere use has nothing to write and no cookie to send
        self._is_busy = False
        self._idle: anyio.Event | None = None
        self._looked_at = 0.0  # when `keep_alive` last did, in unix seconds

    async def load(self, session_ids: Sequence[str], *, outdated: bool = False) -> None:
        """Fill the session with the first of the client's ids that has one. Otherwise it stays new.

        `outdated`: the first cookie has to be sent again, such as after a change of secret.
        """
        if len(session_ids) == 1:
            self._client_id, self._outdated = session_ids[0], outdated
        else:  # the client has several ids, so it is sent the one in use
            self._other_ids = session_ids
        try:
            for session_id in session_ids:
                try:
                    found = await self._config.repository.get(session_id)
                    if isinstance(found, Entry):
                        self._fill(found)
                        return
                except CorruptRecord:
                    self._report_corruption(session_id)
                    continue
                if found is not None:
                    self._replaced_key = found.key
        except StoreUnavailable as error:
            self.degrade(error)

    async def import_legacy(self, legacy: LegacySession) -> None:
        """Fill the session from another middleware's, or from what has become of it since."""
        legacy_id = id_of_legacy(legacy.identity)
        try:
            body = self._dumps(legacy.data)
        except NotSerializable as error:
            logger.warning("another middleware's session was left out: %s", error)
            return
        try:
            entry, is_new = await self._config.repository.import_once(legacy_id, body, legacy.valid_until)
            if entry is not None:
                self._fill(entry)
                if is_new:
                    self._emit(EventKind.MIGRATED, entry)
        except CorruptRecord:
            self._report_corruption(legacy_id)

    def degrade(self, error: StoreUnavailable) -> None:
        """Go on with an empty session that can't be changed, if the settings say so, or raise."""
        if not self._config.degrades:
            raise error
        logger.error("went on without the session: %s", error)
        self.session._degraded = True

    def has_work(self) -> bool:
        """Return whether there is something to save, or upkeep that is due."""
        if self.entry is not None and self._config.repository.clock() >= self._next_write_at:
            return True
        session = self.session
        return (session.modified or session._lent) and self.has_changed()

    def has_changed(self) -> bool:
        """Return whether the handler has changed something since the session was loaded or saved."""
        session, entry = self.session, self.entry
        if session.modified:
            return True
        if not session._lent or entry is None:
            return False
        try:
            return self._dumps(session._data()) != entry.record.body
        except NotSerializable:  # the commit says why
            return True

    async def commit(self, *, refreshes: bool = False) -> None:
        """Save what changed since the last commit. Raises `SessionGone` if there is nothing to save to.

        `refreshes`: where there is nothing to save, load what others have saved.
        """
        if self._is_busy:
            await self._turn()
        self._is_busy = True
        session, before = self.session, self.entry
        intent, modified = session._intent, session.modified
        session._intent, session.modified = NO_INTENT, False
        try:
            await self._write(intent, self._body(modified))
            if refreshes and before is not None and self.entry is before:
                await self._refresh(before)
        except BaseException:
            session._intent = intent.then(session._intent)
            session.modified = session.modified or modified
            raise
        finally:
            self._release()

    async def save(self) -> None:
        """See `Session.save`."""
        if self.session._degraded:
            self._refuse()
        await self.commit(refreshes=not self.writable)

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """See `Session.atomic`."""
        refuse_async(fn)
        if self.session._degraded:
            self._refuse()
        while True:
            if self._is_busy:
                await self._turn()
            intent = self.session._intent
            if not (intent.end or intent.rotate or self._is_gone):
                break
            await self.commit()  # what fn changes must not end up under an id that is about to go
        self._is_busy = True
        try:
            return await self._run_atomically(fn)
        finally:
            self._release()

    def start_keep_alive(self) -> None:
        """Note that this is a socket, for which `keep_alive` will be called."""
        self._looked_at = self._config.repository.clock()

    async def keep_alive(self) -> None:
        """Move the expiry of a socket's session now and then, without a cookie.

        Also follows renewals while the alias exists. Errors surface on the next `save`.
        """
        entry, repository = self.entry, self._config.repository
        now = repository.clock()
        if entry is None or self._is_busy:  # an operation under way is a use as well
            return
        if now - self._looked_at < min(repository.lifetimes.touch_every(entry.record), ALIAS_RETENTION // 2):
            return
        self._looked_at = now
        try:
            latest = await repository.refresh(entry)
            if repository.lifetimes.touch_due(latest.record, latest.expires_at, now):
                latest = await repository.touch(latest) or latest
        except (SessionGone, CorruptRecord):
            return
        except StoreUnavailable as error:
            logger.warning("a session's expiry couldn't be moved: %s", error)
            return
        if self.entry is entry:  # an operation may have saved it in between
            self._set_entry(_with_body_of(entry, latest))

    # Operations, one at a time

    async def _turn(self) -> None:
        while self._is_busy:
            if self._idle is None:
                self._idle = anyio.Event()
            await self._idle.wait()

    def _release(self) -> None:
        self._is_busy = False
        if self._idle is not None:
            self._idle.set()
            self._idle = None

    # Loading

    def _fill(self, entry: Entry) -> None:
        """Take over a loaded session. Raises `CorruptRecord`."""
        dict.update(self.session, self._config.serializer.loads(entry.record.body))
        self._set_entry(entry)

    async def _refresh(self, entry: Entry) -> None:
        """Take over what parallel requests have saved; nothing changed here."""
        try:
            latest = await self._config.repository.refresh(entry)
        except SessionGone:
            self._is_gone = True
            raise
        self._set_entry(latest)
        self._adopt(entry.record.body, latest.record.body)

    # Writing

    def _body(self, modified: bool) -> bytes:
        """Return the session as bytes. Raises `NotSerializable`."""
        if self.entry is not None and not modified and not self.session._lent:
            return self.entry.record.body
        return self._dumps(self.session._data())

    async def _write(self, intent: Intent, body: bytes) -> None:
        """Carry out what was asked, with the session's data as it was then."""
        if self.session._degraded and (intent != NO_INTENT or body != self._config.empty_body):
            self._refuse()
        if self._replaced_key is not None and (intent.rotate or intent.end):
            self._replaced_key, self._is_gone = None, False
        if intent.end:
            await self._end(body)
        elif self._is_gone:
            raise SessionGone("the session ended while this request ran; its changes weren't saved")
        if self.entry is not None:
            await self._write_entry(self.entry, intent, body)
        elif body != self._config.empty_body:
            await self._create(body, intent)
        elif intent.sets_lifetime:  # there is no session yet: it holds for the one that begins
            lifetime = Intent(sets_lifetime=True, lifetime=intent.lifetime)
            self.session._intent = lifetime.then(self.session._intent)

    async def _write_entry(self, entry: Entry, intent: Intent, body: bytes) -> None:
        planned = self._plan(entry, body, intent)

        def rebase(theirs: Entry) -> Entry | None:
            nonlocal planned
            planned = self._plan(theirs, self._merged(entry.record.body, body, theirs), intent)
            return planned.entry

        def change(theirs: Entry) -> Entry | None:
            return planned.entry if theirs is entry else rebase(theirs)

        asked, repository = planned.is_asked, self._config.repository
        try:
            match planned.write:
                case Write.NOTHING:
                    if planned.sends_cookie:
                        await self._send_current_id(entry)
                case Write.TOUCH:
                    self._set_entry(await repository.touch(entry) or entry)
                case Write.ROTATE:
                    self._require_writable()
                    self._after_new_id(entry, await repository.rotate(entry, change), EventKind.ROTATED)
                case Write.RENEW:
                    self._require_writable()
                    grace = RENEW_GRACE if intent.renew_grace is None else intent.renew_grace
                    saved, is_mine = await repository.renew(entry, change, grace)
                    if is_mine:
                        self._after_new_id(entry, saved, EventKind.RENEWED)
                    else:
                        self._after_update(entry, saved, planned)
                case _:
                    saved = await repository.update(entry, planned.entry, rebase)
                    self._after_update(entry, saved, planned)
        except SessionGone:
            if asked:
                self._lose(entry.record.key)
                raise
        except StoreUnavailable as error:
            if asked:
                raise
            # Nothing is lost but time: the next request does it.
            logger.warning("a session's expiry couldn't be moved, or its id renewed: %s", error)
        if self.entry is not None and self.entry.record.body != body:  # it holds what others changed
            self._adopt(body, self.entry.record.body)

    async def _create(self, body: bytes, intent: Intent) -> None:
        if self._replaced_key is not None:
            self._lose(self._replaced_key)
            raise SessionGone("the session's id was replaced before this request began; its changes weren't saved")
        self._require_writable()
        repository = self._config.repository
        entry = await repository.create(body, int(repository.clock()), intent.lifetime)
        self._after_new_id(entry, entry, EventKind.CREATED)

    async def _end(self, body: bytes) -> None:
        """End the session, and all that other cookies of the client open."""
        repository = self._config.repository
        if (entry := self.entry) is not None:
            removed = await repository.delete(entry, replaced=body != self._config.empty_body)
            self._is_gone = False
            self._set_entry(None)
            if removed is not None:  # if another request ended it, only that response clears the cookie
                self._after_end(removed)
        for session_id in self._other_ids:  # the one that has just ended is not found
            other = await repository.get(session_id)
            if isinstance(other, Entry):
                await repository.delete(other)

    async def _send_current_id(self, entry: Entry) -> None:
        """Send the current id if the request used an alias.

        Only after another look: a sign-in in another request has given the client a cookie that must stay.
        """
        try:
            self._send(await self._config.repository.refresh(entry))
            self._set_entry(entry)
        except (SessionGone, CorruptRecord):
            pass

    async def _run_atomically(self, fn: Callable[[dict[str, Any]], T]) -> T:
        entry, session = self.entry, self.session
        mine = self._dumps(session._data())
        base = self._config.empty_body if entry is None else entry.record.body
        update = AtomicUpdate(fn, self._config.serializer, base, mine)
        if entry is None:
            body = update.apply(self._config.empty_body)
            if body != self._config.empty_body:
                await self._create(body, session._intent)
        else:
            await self._update_atomically(entry, update)
        self._adopt(mine, update.view)
        return update.result

    async def _update_atomically(self, entry: Entry, update: AtomicUpdate[T]) -> None:
        planned = self._plan(entry, update.apply(entry.record.body), NO_INTENT, renews=False)

        def rebase(theirs: Entry) -> Entry | None:
            nonlocal planned
            planned = self._plan(theirs, update.apply(theirs.record.body), NO_INTENT, renews=False)
            return planned.entry

        if planned.entry is entry:
            return
        try:
            saved = await self._config.repository.update(entry, planned.entry, rebase)
        except SessionGone:
            self._lose(entry.record.key)
            raise
        self._after_update(entry, saved, planned)

    def _plan(self, entry: Entry, body: bytes, intent: Intent, *, renews: bool = True) -> Plan:
        config = self._config
        return plan(
            entry,
            None if body == config.empty_body else body,
            intent,
            CookieState(self._client_id, self._outdated, self.writable),
            config.repository.lifetimes,
            config.repository.clock(),
            renews=renews and not self._is_socket,  # some servers drop the headers of a handshake
        )

    def _merged(self, base: bytes, mine: bytes, theirs: Entry) -> bytes:
        """Put my change of `base` into `mine` onto what another request has saved."""
        if theirs.record.body == base:
            return mine
        merged = merge(self._loads(base), self._loads(mine), self._loads(theirs.record.body), self._dumps)
        if merged.contested and not self._config.overwrites:
            keys = ", ".join(map(repr, merged.contested))
            raise SessionConflict(f"a parallel request changed the same keys: {keys}. Nothing was saved.")
        self._emit(EventKind.OVERWRITTEN if merged.contested else EventKind.MERGED, theirs)
        return self._dumps(merged.data)

    def _require_writable(self) -> None:
        if not self.writable:
            raise SessionNotSaved(
                "the response has started, so no cookie can be sent for a new session id: fill a new session, and "
                "rotate one, before the response. Common causes are a dependency that writes after its `yield`, a "
                "background task, the body of a streamed response, and a WebSocket after `accept`"
            )

    def _refuse(self) -> None:
        raise StoreUnavailable(
            "the session couldn't be loaded when this request began, so nothing of it can be changed"
        )

    # After reading and writing

    def _set_entry(self, entry: Entry | None) -> None:
        """Record the entry as last read from, or written to, the store."""
        self.entry = self.session._stored = entry
        if entry is None:
            return
        if self._outdated or (entry.session_id != self._client_id and self.writable):
            self._next_write_at = 0.0
        else:
            repository = self._config.repository
            self._next_write_at = repository.lifetimes.next_write_at(entry.record, entry.expires_at, repository.clock())

    def _after_update(self, entry: Entry, saved: Entry | None, planned: Plan) -> None:
        if saved is None:
            self._set_entry(None)
            self._after_end(entry)
            return
        if planned.sends_cookie:
            self._send(saved)
        self._set_entry(saved)

    def _after_new_id(self, entry: Entry, saved: Entry | None, kind: EventKind) -> None:
        if saved is None:
            self._set_entry(None)
            self._after_end(entry)
            return
        self._send(saved)
        self._set_entry(saved)
        self._emit(kind, saved)

    def _after_end(self, entry: Entry) -> None:
        self.cookie = ClearCookie()
        self._client_id = None
        self._emit(EventKind.DESTROYED, entry)

    def _send(self, entry: Entry) -> None:
        repository = self._config.repository
        self.cookie = SetCookie(entry.session_id, repository.lifetimes.cookie_max_age(entry.record, repository.clock()))
        self._client_id = entry.session_id
        self._outdated = False

    def _lose(self, key: str) -> None:
        """Another request has ended the session: nothing more can be saved, and the cookie is left alone."""
        self._is_gone = True
        self._config.emit(SessionEvent(EventKind.DROPPED, handle_of(key)))

    def _adopt(self, base: bytes, theirs: bytes) -> None:
        """Take over what was saved, except where the session has changed since it was `base`.

        Objects that handlers may hold are kept where they are equal.
        """

        def dumps(data: Any) -> bytes:
            try:
                return self._dumps(data)
            except NotSerializable:  # changed since, and the next save refuses it
                return b""

        session = self.session
        if session._intent.end:
            return  # nothing of before may enter what is put in afterwards
        mine = session._data()
        merged = merge(self._loads(base), mine, self._loads(theirs), dumps).data
        dict.clear(session)
        for key, value in merged.items():
            is_equal = key in mine and dumps({key: mine[key]}) == dumps({key: value})
            dict.__setitem__(session, key, mine[key] if is_equal else value)

    def _report_corruption(self, session_id: str) -> None:
        """The session stays empty and new where its row can't be read."""
        self._config.emit(SessionEvent(EventKind.CORRUPT, handle_of(key_of(session_id))))

    def _dumps(self, data: Any) -> bytes:
        return self._config.serializer.dumps(data)

    def _loads(self, body: bytes) -> dict[str, Any]:
        return self._config.serializer.loads(body)

    def _emit(self, kind: EventKind, entry: Entry) -> None:
        self._config.emit(SessionEvent(kind, handle_of(entry.record.key)))


def _with_body_of(entry: Entry, latest: Entry) -> Entry:
    """Return the latest entry, but with the body that the session's data is compared with."""
    if latest.record.body == entry.record.body:
        return latest
    return latest._replace(record=latest.record._replace(body=entry.record.body), version=None)
