"""The contract that every store keeps, in prose and as a Protocol.

A store carries opaque bytes under opaque keys. It knows nothing of cookies, requests, JSON or
users. `starlette_sessions_ext.testing.StoreContract` tests all that is said here.

- Not found is a value. An exception means that the system failed: `StoreUnavailable`,
  `StoreTimeout` or `SessionTooLarge`, never an exception of the driver.
- `create` makes rows and nothing else does: a late `replace` or `touch` can't bring a deleted row
  back, and no collision of keys can take a row over. There is no upsert.
- A row that isn't one of a session (a foreign type, a malformed document) fails alone: `load` raises
  `CorruptRecord`, `create`, `replace` and `touch` return False. Sessions of the same batch are served.
- `SessionUnavailable` and `StoreFull` say that the server answered and refuses one session. They never
  open the circuit breaker. Where one row's lock costs the whole deadline the error is `StoreTimeout`.
- Expiry is exact. A row whose `expires_at` has come is absent, whether or not it was collected.
  An `expires_at` that has come already is no error: the row is then absent from the start.
- Every wait has a deadline; one budget covers a whole operation.
- After a write whose answer was lost, the store looks once. If its own bytes are there the write
  is reported as done; otherwise the error is raised. It never sends the write a second time.
  For this the bytes of two writes are never equal; the caller sees to that.
- A cancelled call has taken place, or not, or does so later: its request may still be on the way when
  the next call is answered. The same holds for a call that raised. The next call gets nobody else's answer.
- So a `create` that was cancelled or raised may leave a row after a later `delete` of its key. Callers
  give a key to nobody before its `create` has returned True, and never reuse the key of one that didn't
  return. Where a key is known before, as that of an alias or a migration's claim, a late row opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Hashable
from functools import partial
from types import TracebackType
from typing import NamedTuple, Protocol, Self, runtime_checkable

from .._time import MAX_TIMESTAMP
from ..errors import SessionTooLarge

DEFAULT_TIMEOUT = 2.0
"""Seconds for one operation, all its waits together: above any healthy answer, below a person's patience."""

DEFAULT_MAX_DATA_BYTES = 1024 * 1024
"""One MiB: far above what belongs in a session, far below what hurts a server."""

_KEY = re.compile(r"[a-z2-7]{32}")


class Stored(NamedTuple):
    """A row as `load` returns it."""

    data: bytes
    version: Hashable
    """A token of the content, the store's own choice. `touch` never changes it."""
    expires_at: int
    """Unix seconds."""

    def __repr__(self) -> str:
        return f"Stored(<{len(self.data)} bytes>, expires_at={self.expires_at})"


new_stored = partial(tuple.__new__, Stored)
"""`Stored` of a tuple of all its fields, at a third of the price."""


@runtime_checkable
class SessionStore(Protocol):
    """A place to keep sessions. Keys are 32 characters of a-z2-7.

    Times are unix seconds (int). All methods raise TypeError or ValueError for another key or time, before
    any I/O.
    """

    max_data_bytes: int | None
    """What fits without loss. More raises `SessionTooLarge` before any I/O; None: no limit."""

    async def load(self, key: str) -> Stored | None:
        """Return the row, or None if it is absent or expired."""
        ...

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        """Make a row that must not exist.

        Return False if the key is taken; nothing was written then.
        """
        ...

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        """Compare and swap.

        Return False if the row has another version or is gone; nothing was written then.
        """
        ...

    async def touch(self, key: str, expires_at: int) -> bool:
        """Move the expiry of an existing row, and neither its data nor its version.

        Return False if it is gone.
        """
        ...

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        """Remove the row; with a version, only while it has that one.

        Return whether this call removed it.
        """
        ...

    async def delete_expired(self, limit: int = 1000) -> int:
        """Collect up to `limit` expired rows and return their number.

        It is 0 where the server collects them.
        """
        ...

    async def open(self) -> None:
        """Get ready, and check the settings, so that faults show at startup.

        May be called again, also after `aclose`, and may be left out: the first operation opens.
        """
        ...

    async def aclose(self) -> None:
        """Let go of what `open` made, and of nothing that was given. May be called again."""
        ...

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.aclose()  # what was reached before it failed
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class Finding(NamedTuple):
    """A problem of a server or its settings, and its remedy."""

    problem: str
    remedy: str


@runtime_checkable
class SupportsDiagnosis(Protocol):
    """A store that can look at its server."""

    async def diagnose(self) -> list[Finding]:
        """Return the problems of the server; empty if there are none.

        Raises as `open` does if it can't be reached.
        """
        ...


@runtime_checkable
class SupportsListing(Protocol):
    """A store that can go through its sessions."""

    def all_keys(self) -> AsyncIterator[str]:
        """Return the keys of all rows, in no order; expired ones may be among them."""
        ...


@runtime_checkable
class SupportsOwners(SessionStore, Protocol):
    """A store that finds the sessions of one owner.

    An owner is an opaque digest of 32 characters of a-z2-7, or None for a row that has none. It belongs
    to the row: `create` and `replace` write it in the same step, and nothing else changes it. A row that
    was written before the store knew owners has none. Methods raise TypeError or ValueError for another
    owner or key, before any I/O.
    """

    async def create(self, key: str, data: bytes, expires_at: int, owner: str | None = None) -> bool:
        """Make a row, as `SessionStore.create`, that belongs to `owner`."""
        ...

    async def replace(
        self, key: str, data: bytes, expires_at: int, version: Hashable, owner: str | None = None
    ) -> bool:
        """Compare and swap, as `SessionStore.replace`.

        `owner`, None included, takes the place of the row's.
        """
        ...

    async def owner_of(self, key: str) -> str | None:
        """Return the owner of a row; None if it has none, is absent or has expired.

        For moving sessions to another store. No request needs it.
        """
        ...

    async def keys_of(self, owner: str) -> list[str]:
        """Return the keys of an owner's rows that haven't expired, in no order."""
        ...

    async def delete_all_of(self, owner: str, keep: str | None = None) -> int:
        """Remove an owner's rows but for the key `keep`, and return their number.

        Every row of the owner that existed before the call is gone after it, also one that was replaced
        in between, unless that gave it another owner. A row that is created while it runs may stay.
        Expired rows may stay, and don't count.

        Rows go in batches, of which each has the deadline of an operation. If a batch fails, those of
        the batches before it are gone. Call again for the others.
        """
        ...


@runtime_checkable
class SupportsSharding(Protocol):
    """A store of several servers, one of which may be down while the others serve."""

    def server_of(self, key: str) -> Hashable:
        """Return a value that distinguishes the server of `key` from the others."""
        ...


def is_key(text: str) -> bool:
    """Return whether this has the form of a key: 32 characters of a-z2-7."""
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> None:
    """Refuse what isn't a key.

    Examples are an operator dict, bytes, another length, another alphabet.
    """
    if type(key) is not str:
        raise TypeError("a session key is a str")
    if _KEY.fullmatch(key) is None:
        raise ValueError("a session key is 32 characters of a-z2-7")


def check_owner(owner: str) -> None:
    """Refuse what isn't an owner: it has the form of a key."""
    if type(owner) is not str:
        raise TypeError("an owner is a str")
    if _KEY.fullmatch(owner) is None:
        raise ValueError("an owner is 32 characters of a-z2-7")


def check_expires_at(expires_at: int) -> None:
    """Refuse what isn't a time.

    Examples are a bool, a float, a duration, a number no database can write.
    """
    if type(expires_at) is not int:
        raise TypeError("expires_at is an int of unix seconds")
    if not 0 <= expires_at <= MAX_TIMESTAMP:
        raise ValueError("expires_at is in unix seconds, up to the year 9999")


def check_row(key: str, data: bytes, expires_at: int, max_data_bytes: int | None, owner: str | None = None) -> None:
    """Refuse a row that can't be stored as given."""
    if type(key) is not str or _KEY.fullmatch(key) is None:
        check_key(key)
    check_data(data, expires_at, max_data_bytes, owner)


def check_data(data: bytes, expires_at: int, max_data_bytes: int | None, owner: str | None) -> None:
    """Refuse what can't be stored in a row, whatever its key."""
    if owner is not None:
        check_owner(owner)
    if type(expires_at) is not int or not 0 <= expires_at <= MAX_TIMESTAMP:
        check_expires_at(expires_at)
    if type(data) is not bytes:
        raise TypeError("session data is bytes")
    if max_data_bytes is not None and len(data) > max_data_bytes:
        raise SessionTooLarge(
            f"the session takes {len(data)} bytes, the store {max_data_bytes}: keep less in it, or raise max_data_bytes"
        )
