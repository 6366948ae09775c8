"""One session on its way between the store and one request: load, change, save.

`commit` decides what to do and `rows` does it in the store; `state` is what is known meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .atomic import Rerun
from .commit import Action, decide
from .errors import CorruptRecord, NotSerializable, SessionGone, StoreUnavailable
from .events import EventKind, SessionEvent, logger
from .ids import handle_of, id_of_legacy, key_of
from .legacy import LegacySession
from .record import RENEW_GRACE
from .rows import FORWARDING, Change, Row
from .session import Session
from .state import Settings, State

T = TypeVar("T")


class Transaction:
    """The session of one request, and in `reply` what the response has to say about its cookie."""

    _looked_at = 0.0  # when `keep_alive` last did, in unix seconds

    def __init__(self, settings: Settings) -> None:
        self._state = State(settings)
        self._settings = settings
        self._rows = settings.rows
        self.session: Session = self._state.session
        self.session._backing = self
        self.reply = self._state.reply
        self.is_quiet = self._state.is_quiet

    async def load(self, session_id: str, *, outdated: bool = False) -> None:
        """Fill the session from the store. An unknown, expired or corrupt one leaves it empty and new.

        `outdated`: the cookie was signed by an older secret, so it is sent again.
        """
        try:
            row = await self._rows.fetch(session_id)
            if row is not None:
                self.reply.came_with(session_id, outdated)
                self._state.fill(row)
        except CorruptRecord:
            self._tell_of_corruption(session_id)
        except StoreUnavailable as error:
            self.degrade(error)

    async def migrate(self, legacy: LegacySession) -> None:
        """Fill the session from another middleware's, or from what has become of it since."""
        legacy_id = id_of_legacy(legacy.identity)
        try:
            body = self._state.dumps(legacy.data)
        except NotSerializable as error:
            logger.warning("another middleware's session was left out: %s", error)
            return
        try:
            row, is_new = await self._rows.adopt(legacy_id, body, legacy.valid_until)
            if row is not None:
                self._state.fill(row)
                if is_new:
                    self._state.emit(EventKind.MIGRATED, row)
        except CorruptRecord:
            self._tell_of_corruption(legacy_id)

    def degrade(self, error: StoreUnavailable) -> None:
        """The store couldn't be read: go on with an empty session, which can't be changed, or raise."""
        if not self._settings.degrade:
            raise error
        logger.error("went on without the session: %s", error)
        self.session._degraded = True

    async def commit(self) -> None:
        """Save what changed since the last commit. Raises `SessionGone` if there is nothing left to save to."""
        state, session = self._state, self.session
        if session._degraded and state.is_asked():
            self._refuse()
        if state.gone:
            raise SessionGone("the session ended while this request ran; its changes weren't saved")
        if state.row is not None and (session._destroy or (session._cleared and not dict.__len__(session))):
            await self._destroy(state.row)
        if state.row is not None:
            await self._save(state.row)
        elif dict.__len__(session):
            await self._create(state.body())
        state.saved()
        await self._hand_over()

    async def save(self) -> None:
        """See `Session.save`."""
        if self.session._degraded:
            self._refuse()
        before = self._state.row
        await self.commit()
        if self.reply.is_sent and before is not None and self._state.row is before:
            await self._look(before)

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """See `Session.atomic`."""
        state = self._state
        if self.session._degraded:
            self._refuse()
        if state.gone or self.session._destroy or self.session._rotate:
            await self.commit()  # what fn changes must not end up under an id that is about to go
        row, rerun = state.row, Rerun(state, fn)
        if row is None:
            if (body := rerun.on({})) != self._settings.nothing:
                await self._create(body)
        else:
            try:
                await self._swap(row, lambda theirs: state.draft(theirs, rerun.on(state.loads(theirs.record.body))))
            except SessionGone:
                state.lose(row)
                raise
        state.adopt(rerun.view)
        return rerun.result

    def begin_to_watch(self) -> None:
        """This is a socket, for which `keep_alive` will be called."""
        self._looked_at = self._rows.clock()

    async def keep_alive(self) -> None:
        """A socket is in use: move its session's expiry now and then, without a cookie.

        The look also follows a session that was renewed, before its trace is lost. What is wrong
        with it is told by the next `save`.
        """
        row, now = self._state.row, self._rows.clock()
        if row is None or now - self._looked_at < min(self._rows.lifetimes.touch_every(row.record), FORWARDING // 2):
            return
        self._looked_at = now
        try:
            latest = await self._rows.latest(row)
            if self._rows.lifetimes.touch_due(latest.record, latest.expires_at, now):
                latest = await self._rows.touch(latest) or latest
        except (SessionGone, CorruptRecord):
            return
        except StoreUnavailable as error:
            logger.warning("a session's expiry couldn't be moved: %s", error)
            return
        if self._state.row is row:  # the application may have saved it meanwhile
            self._state.keep(_with_the_body_of(row, latest))

    def _tell_of_corruption(self, session_id: str) -> None:
        """The session stays empty and new where its row can't be read."""
        self._settings.emit(SessionEvent(EventKind.CORRUPT, handle_of(key_of(session_id))))

    async def _save(self, row: Row) -> None:
        """Choose and carry out the one action that this row needs."""
        state, session = self._state, self.session
        body = state.body()
        draft = state.draft(row, body)
        changed = draft is None or draft.record is not row.record
        asked = changed or session._rotate or session._grace is not None
        action = decide(
            empty=not dict.__len__(session),
            rotate=session._rotate,
            renew=session._grace is not None or self._renew_due(row),
            changed=changed,
            due=state.moves_expiry,
        )
        try:
            await self._carry_out(action, row, body, draft)
        except SessionGone:
            if asked:
                state.lose(row)
                raise
        except StoreUnavailable as error:
            if asked:
                raise
            # Nothing is lost but time: the next request does it.
            logger.warning("a session's expiry couldn't be moved, or its id renewed: %s", error)
        if state.row is not None and state.row.record.body != body:  # what others changed is part of it now
            state.adopt(state.loads(state.row.record.body))

    async def _carry_out(self, action: Action, row: Row, body: bytes, draft: Row | None) -> None:
        def merged(theirs: Row) -> bytes:
            return self._state.merged(row, body, theirs)

        def drafted(theirs: Row) -> Row | None:
            return draft if theirs is row else self._state.draft(theirs, merged(theirs))

        if action is Action.ROTATE:
            await self._rotate(row, merged)
        elif action is Action.RENEW:
            await self._renew(row, merged)
        elif action is Action.TOUCH and not self._state.sends_again(row):
            await self._touch(row)
        elif action is not Action.NOTHING:
            # A touch whose cookie goes out is no mere touch: the session may have another id by now.
            await self._swap(row, drafted)

    async def _create(self, body: bytes) -> None:
        self.reply.check()
        lifetime = self.session._lifetime if self.session._lifetime_set else None
        row = await self._rows.insert(body, int(self._rows.clock()), lifetime)
        self._state.begin(row, EventKind.CREATED)

    async def _rotate(self, row: Row, change: Callable[[Row], bytes]) -> None:
        self.reply.check()
        moved = await self._rows.move(row, lambda theirs: self._state.record(theirs, change(theirs)))
        self._state.begin(moved, EventKind.ROTATED)

    async def _renew(self, row: Row, change: Callable[[Row], bytes]) -> None:
        self.reply.check()
        grace = RENEW_GRACE if self.session._grace is None else self.session._grace
        saved, mine = await self._rows.renew(row, lambda theirs: self._state.draft(theirs, change(theirs)), grace)
        if mine and saved is not None:
            self._state.begin(saved, EventKind.RENEWED)
        else:
            self._state.settle(row, saved)

    async def _swap(self, row: Row, change: Change) -> None:
        saved = await self._rows.swap(row, change)
        self._state.settle(row, saved)

    async def _touch(self, row: Row) -> None:
        touched = await self._rows.touch(row)
        if touched is not None:
            self._state.keep(touched)

    async def _destroy(self, row: Row) -> None:
        removed = await self._rows.remove(row)
        self._state.keep(None)
        if removed is not None:  # if somebody else destroyed it, only that response clears the cookie
            self._state.end(removed)

    async def _hand_over(self) -> None:
        """Send the id that the session has, if the browser came with one that only leads to it.

        Only after another look: a sign-in meanwhile has given the browser a cookie that must stay.
        """
        row = self._state.row
        if row is None or not self.reply.owes(row.session_id):
            return
        try:
            self._state.issue(await self._rows.latest(row))
        except (SessionGone, CorruptRecord):
            pass
        except StoreUnavailable as error:
            logger.warning("a session's new id couldn't be handed out: %s", error)

    async def _look(self, row: Row) -> None:
        """Take over what others have saved; there is nothing of mine."""
        try:
            latest = await self._rows.latest(row)
        except SessionGone:
            self._state.gone = True
            raise
        self._state.keep(latest)
        self._state.adopt(self._state.loads(latest.record.body))

    def _refuse(self) -> None:
        raise StoreUnavailable(
            "the session couldn't be loaded when this request began, so nothing of it can be changed"
        )

    def _renew_due(self, row: Row) -> bool:
        return not self.reply.is_sent and self._rows.lifetimes.renew_due(row.record, self._rows.clock())


def _with_the_body_of(row: Row, latest: Row) -> Row:
    """The row as it is now, but to be compared with the data that was loaded."""
    if latest.record.body == row.record.body:
        return latest
    return latest._replace(record=latest.record._replace(body=row.record.body), version=None)
