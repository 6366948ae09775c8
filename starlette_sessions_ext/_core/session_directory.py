"""The sessions of one user: list them, and revoke one or all."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from ..errors import CorruptRecord
from ..stores.base import SessionStore
from .backoff import Backoff
from .lifetimes import DEFAULT_IDLE, Lifetimes
from .owner import owner_of, read_user, require_owners
from .record import Alias, Header, decode
from .sign_in_details import decode_details

if TYPE_CHECKING:
    from ..session import Session

LOADS_AT_ONCE = 50
"""How many sessions of one user are loaded at the same time: stores make few calls of them."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session of a user, as a list of devices shows it. Times are unix seconds.

    `public_id` names it for `SessionDirectory.revoke`, and gives no access. `last_used_at` is as exact as
    the option `touch_interval`. `details` is what the option `describe` returned at the sign-in.
    """

    public_id: str
    signed_in_at: int
    created_at: int
    last_used_at: int
    expires_at: int
    is_current: bool
    details: dict[str, Any] = field(repr=False)


class _Row(NamedTuple):
    key: str
    header: Header
    expires_at: int


_Rows = list[_Row]
_Found = list[_Row | None]


class SessionDirectory:
    """Find and end the sessions of a user.

    The option `user` of the middleware names the user of a session. In a request it is `session.directory`,
    and `SessionMiddleware.directory` for a middleware at hand. A program without either makes one:
    `SessionDirectory(store)`. `idle_timeout` is then that of the middleware; only `last_used_at` depends on
    it. Raises `ConfigurationError` for a store that doesn't find the sessions of a user.

    A revocation is as final as a logout. Requests that are under way with a session drop what they
    would write, and a WebSocket learns of it at its next `Session.save`. All methods raise
    `StoreUnavailable` if the store can't be reached; calling again is safe.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        idle_timeout: int | timedelta = DEFAULT_IDLE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = require_owners(store)
        self._lifetimes = Lifetimes.configured(None, idle_timeout, None, None)
        self._clock = clock

    @classmethod
    def configured(cls, store: SessionStore, lifetimes: Lifetimes, clock: Callable[[], float]) -> SessionDirectory:
        """Make the directory of a middleware."""
        directory = cls(store, clock=clock)
        directory._lifetimes = lifetimes
        return directory

    async def list(self, user: str | int, *, current: Session | None = None) -> list[SessionInfo]:
        """Return the sessions of a user: `current`, and then the one used last first."""
        rows = await self._rows(owner_of(read_user(user)))
        public_id = None if current is None else current.public_id
        infos = {row.header.public_id: self._info(row, public_id) for row in rows}  # a session that moves has two rows
        return sorted(infos.values(), key=_latest_first)

    async def count(self, user: str | int) -> int:
        """Return how many sessions a user has."""
        return len({row.header.public_id for row in await self._rows(owner_of(read_user(user)))})

    async def revoke(self, user: str | int, public_id: str) -> bool:
        """End one session of a user; return False if the user has none of this name."""
        return bool(await self._end(owner_of(read_user(user)), lambda header: header.public_id == public_id))

    async def revoke_all(self, user: str | int, *, keep: Session | None = None) -> int:
        """End all sessions of a user that exist now, but for `keep`.

        Return the number of ended sessions.
        """
        owner, began = owner_of(read_user(user)), int(self._clock() * 1000)
        kept = None if keep is None else keep.public_id

        def is_meant(header: Header) -> bool:
            return header.public_id != kept and (header.signed_in_ms or 0) <= began

        ended = await self._store.delete_all_of(owner, None if keep is None else _key_of(keep))
        return ended + await self._end(owner, is_meant)  # those that were given a new id in between

    async def end_oldest(self, owner: str, limit: int) -> int:
        """End those unused for longest, so that at most `limit` sessions are left.

        Return the number of ended sessions. Parallel sign-ins choose the same ones, for the order doesn't
        depend on which of them asks.
        """
        if len(await self._store.keys_of(owner)) <= limit:
            return 0
        sessions = defaultdict[str, _Rows](list)
        for row in await self._rows(owner):
            sessions[row.header.public_id].append(row)
        oldest = sorted(sessions.values(), key=_end_of_use)[: max(len(sessions) - limit, 0)]
        ended = [[await self._store.delete(row.key) for row in rows] for rows in oldest]
        return sum(map(any, ended))

    async def _end(self, owner: str, is_meant: Callable[[Header], bool]) -> int:
        """End sessions until none is left that is meant; return their number."""
        ended = 0
        while keys := [row.key for row in await self._rows(owner) if is_meant(row.header)]:
            for key in keys:
                ended += await self._store.delete(key)
        return ended

    async def _rows(self, owner: str) -> _Rows:
        """Load the rows of an owner, again if a session moves at that moment.

        Raises `SessionConflict` if that doesn't come to an end.
        """
        backoff = Backoff()
        while True:
            keys, rows = await self._store.keys_of(owner), _Found()
            for start in range(0, len(keys), LOADS_AT_ONCE):
                async with anyio.create_task_group() as group:
                    for key in keys[start : start + LOADS_AT_ONCE]:
                        group.start_soon(self._read, key, rows)
            if None not in rows:
                return [row for row in rows if row is not None]
            await backoff.sleep()

    async def _read(self, key: str, rows: _Found) -> None:
        """Append the row of a key; append None if another id took its place.

        Bytes that aren't a session have no row.
        """
        with suppress(CorruptRecord):
            stored = await self._store.load(key)
            if stored is not None:
                found = decode(stored.data, key)
                rows.append(None if isinstance(found, Alias) else _Row(key, found[0], stored.expires_at))

    def _info(self, row: _Row, current: str | None) -> SessionInfo:
        header = row.header
        return SessionInfo(
            header.public_id,
            header.created_at if header.signed_in_ms is None else header.signed_in_ms // 1000,
            header.created_at,
            self._lifetimes.last_used_at(header, row.expires_at, self._clock()),
            row.expires_at,
            header.public_id == current,
            decode_details(header.details),
        )


def _end_of_use(rows: _Rows) -> tuple[int, int, str]:
    """Order sessions by when they were last used.

    A session whose id was about to change has two rows.
    """
    last = max(rows, key=lambda row: row.expires_at)
    return last.expires_at, last.header.signed_in_ms or 0, last.header.public_id


def _latest_first(info: SessionInfo) -> tuple[bool, int, int, str]:
    return not info.is_current, -info.last_used_at, -info.signed_in_at, info.public_id


def _key_of(session: Session) -> str | None:
    return None if session._stored is None else session._stored.key
