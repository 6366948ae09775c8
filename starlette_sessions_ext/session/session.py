"""The dict that a handler sees, and its requests besides changes of data."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .._time import parse_duration
from ..errors import SessionError
from ..events import logger
from .from_thread import run_on_event_loop
from .intent import NO_INTENT, Intent
from .ports import ENDED, SessionPersistence, StoredSession
from .tracked_dict import TrackedDict

if TYPE_CHECKING:
    from .._core.session_directory import SessionDirectory
    from ..typed.values import TypedValues

T = TypeVar("T")


class Session(TrackedDict):
    """A session: a dict of JSON values, which the middleware saves.

    It does so when the response starts. The dict is a `starlette.middleware.sessions.Session`, so code
    written for Starlette's sessions works with it. Nested changes count: `session["cart"].append(1)` is
    saved.
    """

    __slots__ = ("_persistence", "_stored")

    _persistence: SessionPersistence | None
    _stored: StoredSession | None
    _degraded = False
    _intent = NO_INTENT  # what the handler asked for, until the context takes it
    _typed: TypedValues | None = None  # objects that `typed` has handed out
    _put_back: Collection[str] = ()  # keys of before this request, which were taken out of the store and put back here

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._persistence = self._stored = None

    @property
    def is_new(self) -> bool:
        """Whether the store holds nothing of this session yet."""
        return self.created_at is None

    @property
    def created_at(self) -> int | None:
        """When the session was first saved, in unix seconds; None while it is new."""
        stored = self._look_up()
        return None if stored is None else stored.created_at

    @property
    def expires_at(self) -> int | None:
        """When the session ends unless it is used, in unix seconds; None while it is new."""
        stored = self._look_up()
        return None if stored is None else stored.expires_at

    @property
    def lifetime(self) -> int | None:
        """The seconds without use that `set_lifetime` gave it.

        It is None where the middleware's settings hold.
        """
        stored = self._look_up()
        return self._intent.lifetime if self._intent.sets_lifetime or stored is None else stored.lifetime

    @property
    def public_id(self) -> str | None:
        """The session's public name, the same from beginning to end; None while it is new.

        It gives no access, so it may be shown: in a list of a user's sessions, and in logs.
        """
        stored = self._look_up()
        return None if stored is None else stored.public_id

    @property
    def signed_in_at(self) -> int | None:
        """When the session's user signed in, in unix seconds; None without a sign-in.

        It is the time in the store, and needs the option `user` of `SessionMiddleware`.
        """
        stored = self._look_up()
        return None if stored is None else stored.signed_in_at

    @property
    def sign_in_age(self) -> float | None:
        """The seconds since the session's user signed in; None without a sign-in.

        Of a session from before the option `user` it is the age of the session. Raises `SessionError`
        outside of a request, and `ConfigurationError` without the option.
        """
        if self._user() is None:
            return None
        since = self.created_at if self.signed_in_at is None else self.signed_in_at
        return None if since is None else self._bound().now() - since

    @property
    def directory(self) -> SessionDirectory:
        """The sessions of users, to list them and to revoke them.

        Raises `SessionError` outside of a request.
        """
        directory: SessionDirectory = self._bound().directory
        return directory

    @property
    def degraded(self) -> bool:
        """Whether this session is empty because the store couldn't be read.

        Only with `on_store_error="anonymous"`. Saving a change of it raises `StoreUnavailable`.
        """
        self.accessed = True
        return self._degraded

    def rotate(self) -> None:
        """Give the session a new id when it is saved; the old one is worthless at once.

        Call it at every change of privilege, sign-in above all, so that an id known to others
        before is useless afterwards (session fixation). Parallel requests that still hold the old
        id end normally, and what they would write is dropped.
        """
        self._ask(Intent(rotate=True))

    def renew(self, grace: int | timedelta) -> None:
        """Give the session a new id when it is saved, and keep the old one for `grace`.

        `grace` is in seconds or a timedelta; so long the old id still leads to the session. Requests with the
        old id are given the new cookie, and no change is lost. A thief of the old id keeps the session, so
        this is never enough for a change of privilege: `rotate` is. Raises `ConfigurationError` unless it is
        positive.
        """
        self._ask(Intent(renew_grace=parse_duration(grace, "grace")))

    def reauthenticated(self) -> None:
        """Note that the user has just proven their identity again, as by a password.

        `signed_in_at` becomes now, and the id is rotated. Only with the option `user`.
        """
        self._ask(Intent(rotate=True, reauthenticates=True))

    def regenerate_id(self) -> None:
        """Rotate the id, under the name that packages written for starsessions call."""
        self.rotate()

    def destroy(self) -> None:
        """End the session: empty it, delete its row and clear its cookie.

        No slower request restores it. What is put in afterwards starts a new session under a new id.
        """
        self.clear()

    def clear(self) -> None:
        """Empty the session and end it, as `destroy` does.

        Nothing that parallel requests wrote survives. What is put in afterwards starts a new session
        under a new id.
        """
        super().clear()
        self._typed = None  # nothing from before may come back
        self._ask(Intent(end=True))

    def set_lifetime(self, lifetime: int | timedelta | None) -> None:
        """Let this session live `lifetime` (seconds or timedelta) without use.

        The cookie lives as long. None goes back to the middleware's settings. A shorter `absolute_timeout`
        still ends it. Raises `ConfigurationError` unless it is positive.
        """
        value = None if lifetime is None else parse_duration(lifetime, "lifetime")
        self._ask(Intent(sets_lifetime=True, lifetime=value))

    def typed(self, kind: type[T], key: str, default: Callable[[], T] | None = None) -> T:
        """Return the value of a key as an object of the application's class.

        `kind` is a pydantic model, a dataclass, a msgspec Struct or a TypedDict. Each call in a request
        returns the same object, and its changes, nested ones too, are saved with the session. Where
        the session lacks the key, the object is what `default` returns, or one of default values. It is
        stored once it differs from that.

        Raises `InvalidSessionData` if what is stored isn't valid; it is left as it is. Raises
        `ConfigurationError` for another class, or one that has no default values. A save raises
        `NotSerializable` if the object isn't valid by then.
        """
        self.accessed = True
        self._lent = True
        if self._typed is None:
            from ..typed.values import TypedValues

            self._typed = TypedValues()
        return self._typed.get(self, kind, key, default)

    async def save(self) -> None:
        """Save the changes now instead of when the response starts.

        Calls on one session run one after another. What changes while one runs is saved by the next.
        Once the response has started, or a WebSocket is accepted, `save` also checks whether the
        session still exists when there is nothing to save, so that a socket learns of a logout.

        Raises `SessionGone` if it was destroyed, rotated or expired by another request,
        `SessionConflict` with `on_conflict="raise"`, and `StoreError` if the store failed. The
        changes then stay in the session, and the next `save` or the end of the request repeats them.
        """
        await self._bound().save()

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """Run `fn` on the freshest data and save its changes, without losing others'.

        `fn` is a plain function that gets a dict to change. It may run several times, until no other request
        came between. The result of the run that was saved is returned. Counters and one-time tokens are
        exact this way:

            visits = await session.atomic(count_visit)

        `fn` sees changes made outside of it. They are saved when they would be anyway. Raises as
        `save` does, TypeError if `fn` is async, and whatever `fn` raises; then nothing is written.
        """
        self.mark_accessed()
        return await self._bound().atomic(fn)

    def save_sync(self) -> None:
        """Save as `save` does, from a plain `def` endpoint.

        The framework runs such an endpoint in a thread. The thread waits while the event loop saves. Raises
        `SessionError` in other threads and on the event loop, where `await session.save()` is the way.
        """
        run_on_event_loop(self.save)

    def atomic_sync(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """Run `fn` as `atomic` does, from a plain `def` endpoint.

        `fn` runs on the event loop, so it must not block. Raises as `atomic` and `save_sync`.
        """
        return run_on_event_loop(self.atomic, fn)

    def mark_modified(self) -> None:
        self.accessed = True
        self.modified = True
        if self._persistence is ENDED:
            self._persistence = None  # one warning is enough
            logger.warning(
                "a session was changed after its request was over, so the change isn't saved: change it in the "
                "handler, and not in a handler of `Exception` or in a task that outlives the request"
            )

    def _data(self) -> dict[str, Any]:
        """Return a plain dict of the data, without marking it.

        `dict.copy` would call `__getitem__` of this class.
        """
        if self._typed is not None:
            self._typed.store(self)
        return dict(dict.items(self))

    def _ask(self, intent: Intent) -> None:
        self._intent = self._intent.then(intent)
        self.mark_modified()

    def _look_up(self) -> StoredSession | None:
        """Return what the store has of this session; None if it is new or has ended."""
        self.accessed = True
        return None if self._intent.end else self._stored

    def _user(self) -> str | None:
        """Return the user of the session now: see `get_user`.

        It is no attribute, since templates name keys as such.
        """
        self.accessed = True
        return self._bound().user()

    def _bound(self) -> SessionPersistence:
        if self._persistence is None or self._persistence is ENDED:
            raise SessionError("this session isn't part of a running request, so it has no store to save to")
        return self._persistence

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the parts of a copy: the data and what was asked.

        A copy has neither the request nor the stored row.
        """
        asked = {name: value for name, value in vars(self).items() if name != "_typed"}
        flags = {name: getattr(self, name) for name in TrackedDict.__slots__}
        return type(self), (dict(self),), (asked, flags)

    def __repr__(self) -> str:
        return f"<Session of {dict.__len__(self)} keys>"  # never the data: a repr ends up in logs


new_session = partial(dict.__new__, Session)
"""`Session` without its constructor, whose attributes the caller sets: every request makes one."""
