"""The rows of a store, one at a time, as sessions with owner and version.

The circuit breaker watches every call here, so that nothing above knows of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import StoreUnavailable
from ..serializers import Serializer
from ..session import SignIn
from ..stores.base import SessionStore, Stored, SupportsOwners
from .circuit_breaker import Guard
from .ids import key_of, new_nonce, new_public_id
from .lifetimes import Lifetimes
from .owner import UserOption, Users, require_owners
from .plan import Entry, new_entry
from .record import Alias, Header, decode
from .write_queues import WriteQueues


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """The rows of a store. `clock` gives unix seconds.

    `users` says whose session it is, and `owned` is the store as one that finds a user's sessions. Both
    are None where the application doesn't say.
    """

    store: SessionStore
    lifetimes: Lifetimes
    clock: Callable[[], float]
    guard: Guard
    users: Users | None = None
    owned: SupportsOwners | None = None
    write_queues: WriteQueues = field(default_factory=WriteQueues)

    @classmethod
    def configured(
        cls,
        store: SessionStore,
        lifetimes: Lifetimes,
        clock: Callable[[], float],
        user: UserOption | None,
        serializer: Serializer,
    ) -> Rows:
        """Make the rows of a middleware.

        Raises `ConfigurationError` if the store can't find a user's sessions.
        """
        if user is None:
            return cls(store, lifetimes, clock, Guard(store))
        owned = require_owners(store)
        return cls(store, lifetimes, clock, Guard(store), Users(user, serializer), owned)

    async def read(self, session_id: str) -> Entry | Alias | None:
        """Return what is stored under an id; None if it is absent or expired.

        Raises `CorruptRecord`.
        """
        key = key_of(session_id)
        if self.guard.failing:
            stored = await self._load(key)
        else:  # as `_load` does, on the way of every request
            try:
                stored = await self.store.load(key)
            except StoreUnavailable as error:
                self.guard.failed("load", key, error)
                raise
            if self.guard.failing:
                self.guard.succeeded("load", key)
        if stored is None:
            return None
        data, version, expires_at = stored
        now = self.clock()
        if now >= expires_at:
            return None
        found = decode(data, key)
        if type(found) is Alias:
            return found
        header, body = found
        if self.lifetimes.absolute is not None and self.lifetimes.expired(header, now):
            return None
        return new_entry((session_id, header, body, expires_at, version))

    async def create(self, session_id: str, header: Header, body: bytes) -> Entry | None:
        """Make a row; return None if the id is taken."""
        now = self.clock()
        header = header._replace(key=key_of(session_id), issued_at=int(now))
        expires_at = self.lifetimes.expires_at(header, now)
        made = await self.create_data(header.key, header.encode(new_nonce(), body), expires_at, self.owner_of(body))
        return Entry(session_id, header, body, expires_at) if made else None

    async def replace(self, entry: Entry, wanted: Entry) -> bool:
        """Compare-and-swap once, and return the success.

        It is False if another request has written, or ended, what was loaded.
        """
        key = entry.header.key
        data = wanted.header.encode(new_nonce(), wanted.body)
        self.write_queues.writing.add(key)
        try:
            if self.guard.failing or self.users is not None:
                return await self.replace_data(entry, data, wanted.expires_at, self.owner_of(wanted.body))
            try:  # as `replace_data` does, on the way of most requests that write
                replaced = await self.store.replace(key, data, wanted.expires_at, entry.version)
            except StoreUnavailable as error:
                self.guard.failed("replace", key, error)
                raise
            if self.guard.failing:
                self.guard.succeeded("replace", key)
            return replaced
        finally:
            self.write_queues.writing.discard(key)

    async def create_data(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        """Make a row of any bytes; return False if the key is taken."""
        with self.guard.watch("create", key):
            if self.owned is None:
                return await self.store.create(key, data, expires_at)
            return await self.owned.create(key, data, expires_at, owner)

    async def replace_data(self, entry: Entry, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        """Replace a row by any bytes, once; return False if it has changed since."""
        key, version = entry.header.key, entry.version
        with self.guard.watch("replace", key):
            if self.owned is None:
                return await self.store.replace(key, data, expires_at, version)
            return await self.owned.replace(key, data, expires_at, version, owner)

    async def touch(self, entry: Entry) -> Entry | None:
        """Move the expiry of a session that is used now; return None if it is gone.

        The row may hold anything.
        """
        expires_at = self.lifetimes.expires_at(entry.header, self.clock())
        with self.guard.watch("touch", entry.header.key):
            touched = await self.store.touch(entry.header.key, expires_at)
        return entry._replace(expires_at=expires_at) if touched else None

    async def delete(self, entry: Entry) -> bool:
        """Delete the row if it is still what was loaded.

        A row that was just made is deleted whatever it is.
        """
        with self.guard.watch("delete", entry.header.key):
            return await self.store.delete(entry.header.key, entry.version)

    def new_header(self, lifetime: int | None = None, sign_in: SignIn | None = None) -> Header:
        """Return the header of a session that begins now, but for its key."""
        ms, details = sign_in or SignIn(None, None)
        return Header("", int(self.clock()), 0, lifetime, new_public_id(), ms, details)

    def owner_of(self, body: bytes) -> str | None:
        """Return the owner that the store keeps with a session of this data.

        Return None if it has none.
        """
        return None if self.users is None else self.users.owner_of_body(body)

    async def _load(self, key: str) -> Stored | None:
        with self.guard.watch("load", key):
            return await self.store.load(key)
