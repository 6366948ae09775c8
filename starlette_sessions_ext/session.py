"""The dict that a handler sees, and what it can ask for beside changing it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, Self, TypeVar

from starlette.middleware.sessions import Session as StarletteSession

from .errors import SessionError
from .record import Record, seconds

T = TypeVar("T")


class Backing(Protocol):
    """What carries a session between its request and the store."""

    async def save(self) -> None: ...

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T: ...


class Session(StarletteSession):
    """A session: a dict of what JSON can say, saved by the middleware when the response starts.

    It is a `starlette.middleware.sessions.Session`, so whatever works with Starlette's own
    sessions works with it. Nested changes count: `session["cart"].append(1)` is saved.

    """

    # What the handler asked for; the transaction reads these and puts them back.
    _destroy = False
    _cleared = False
    _rotate = False
    _grace: int | None = None
    _lifetime: int | None = None
    _lifetime_set = False

    # What the transaction tells.
    _record: Record | None = None
    _expires_at: int | None = None
    _degraded = False
    _backing: Backing | None = None

    @property
    def is_new(self) -> bool:
        """Whether the store holds nothing of this session yet."""
        return self.created_at is None

    @property
    def created_at(self) -> int | None:
        """When it was first saved, in unix seconds; None while it is new."""
        self.accessed = True
        return None if self._record is None else self._record.created_at

    @property
    def expires_at(self) -> int | None:
        """When it ends unless it is used before, in unix seconds; None while it is new."""
        self.accessed = True
        return self._expires_at

    @property
    def lifetime(self) -> int | None:
        """The seconds without use that `set_lifetime` gave it; None where the middleware's settings hold."""
        self.accessed = True
        if self._lifetime_set or self._record is None:
            return self._lifetime
        return self._record.lifetime

    @property
    def degraded(self) -> bool:
        """Whether the store couldn't be read, so that this is an empty session in place of one that isn't known.

        Only with `on_store_error="anonymous"`. Whatever would change it raises `StoreUnavailable`.
        """
        self.accessed = True
        return self._degraded

    def rotate(self, grace: int | timedelta | None = None) -> None:
        """Give the session a new id when it is saved; the old one is worthless at once.

        Call it at every change of privilege, sign-in above all, so that an id somebody had
        before is of no use after (session fixation). Parallel requests that still hold the old
        id end normally, and what they would write is dropped.

        With `grace` (seconds or timedelta) the id is only renewed, and for so long the old one
        leads to the session: requests that come with it are given the new cookie, and none loses
        a change. Whoever has the old id keeps the session, so this is never enough for a change
        of privilege. Raises `ConfigurationError` unless it is positive.
        """
        if grace is None:
            self._rotate = True
        else:
            self._grace = seconds(grace, "grace")
        self.mark_modified()

    def destroy(self) -> None:
        """End the session: empty it, delete its row and clear its cookie. No slower request brings it back.

        What is put into the session after this starts a new one under a new id.
        """
        self.clear()
        self._destroy = True

    def clear(self) -> None:
        """Empty the session. If it stays empty this is a logout, as with Starlette's sessions."""
        super().clear()
        self._cleared = True

    def set_lifetime(self, lifetime: int | timedelta | None) -> None:
        """Let this session live `lifetime` (seconds or timedelta) without use, cookie included.

        None goes back to the middleware's settings. An `absolute_timeout` that is shorter ends it all the same.
        Raises `ConfigurationError` unless it is positive.
        """
        self._lifetime = None if lifetime is None else seconds(lifetime, "lifetime")
        self._lifetime_set = True
        self.mark_modified()

    def popitem(self) -> tuple[str, Any]:
        self.mark_accessed()  # also if there is nothing to pop
        item = super().popitem()
        self.mark_modified()  # before 1.7 Starlette doesn't do it here, nor for `|=`
        return item

    def __ior__(self, other: Any, /) -> Self:  # type: ignore[override,misc]
        self.mark_modified()
        dict.__ior__(self, other)
        return self

    async def save(self) -> None:
        """Save the changes now instead of when the response starts.

        Once the response has started, or a WebSocket is accepted, it also looks when there is
        nothing to save, so that whoever stays learns of a logout.

        Raises `SessionGone` if it was destroyed, rotated or expired meanwhile, `SessionConflict`
        if so asked for by `on_conflict="raise"`, and `StoreError` if the store failed. Then the changes are
        in the session still, and the next `save` or the end of the request makes them anew.
        """
        await self._bound().save()

    async def atomic(self, fn: Callable[[dict[str, Any]], T]) -> T:
        """Run `fn` on the freshest data and save what it changed, until no other request came between.

        `fn` gets a dict to change, and may be run several times; what it returns in the run that
        was saved is returned. Counters and one-time tokens are exact this way:

            visits = await session.atomic(count_visit)

        Changes made outside `fn` are seen by it, and saved when they would be anyway. Raises as
        `save` does, and whatever `fn` raises; then nothing is written.
        """
        self.mark_accessed()
        return await self._bound().atomic(fn)

    def _bound(self) -> Backing:
        if self._backing is None:
            raise SessionError("this session isn't part of a running request, so it has no store to save to")
        return self._backing

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along beside the data: not the request and the row, which are one session's alone."""
        alone = ("_backing", "_record", "_expires_at")
        return {name: value for name, value in vars(self).items() if name not in alone}

    def __repr__(self) -> str:
        return f"<Session of {dict.__len__(self)} keys>"  # never the data: a repr ends up in logs


def _reading(name: str) -> Callable[..., Any]:
    """The dict method `name`, which also marks the session as accessed: the response then varies with the cookie."""
    method = getattr(dict, name)

    def read(self: Session, /, *args: Any) -> Any:
        self.accessed = True
        return method(self, *args)

    read.__name__ = name
    return read


for _name in (
    *("__getitem__", "__contains__", "__iter__", "__reversed__", "__len__", "__eq__", "__ne__", "__or__", "__ror__"),
    *("get", "keys", "values", "items", "copy"),
):
    setattr(Session, _name, _reading(_name))
