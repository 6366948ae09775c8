"""The sessions of a store that PHP writes to as well.

Rows have no envelope, and are under the ids themselves.

A row holds what PHP's serialize handler wrote, and nothing else. So a session has its data and its expiry only: no
lifetime of one session, no alias under an old id, no owner. A version is the store's token of the content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .._core.ids import digest_of
from .._core.plan import Entry
from .._core.record import Alias, Header
from .._core.repository import LATE_FOR, Change, SessionRepository
from .._core.rows import Rows
from ..errors import ConfigurationError, CorruptRecord, NotSerializable
from .codec import Format, dumps, loads
from .replaced_ids import ReplacedIds
from .session_ids import make_session_id

_MAY_DIFFER = re.compile(rb"[rR]:[0-9]|d:[^;]{18}")
"""References, and floats of PHP before 7.1: what isn't written again as it was read."""


@dataclass(frozen=True, slots=True)
class PHPRows(Rows):
    """The rows of PHP. `format` is that of their data."""

    format: Format = "php"
    replaced: ReplacedIds = field(default_factory=lambda: ReplacedIds(LATE_FOR), repr=False)

    async def read(self, session_id: str) -> Entry | Alias | None:
        """Return the session of an id.

        An empty session is none, since PHP makes one for each visitor.
        """
        with self.guard.watch("load", session_id):
            stored = await self.store.load(session_id)
        now = self.clock()
        if stored is None or now >= stored.expires_at:
            at = self.replaced.replaced_at(session_id, now)
            return None if at is None else Alias(session_id, int(at), "", session_id, made_at=int(at))
        body = _as_written(stored.data, self.format)
        if body == dumps({}, self.format):
            return None
        return Entry(session_id, _header(session_id), body, stored.expires_at, stored.version)

    async def create(self, session_id: str, header: Header, body: bytes) -> Entry | None:
        """Make a row; None if the id is taken."""
        _check(header)
        header = _header(session_id)
        expires_at = self.lifetimes.expires_at(header, self.clock())
        made = await self.create_data(session_id, body, expires_at)
        return Entry(session_id, header, body, expires_at) if made else None

    async def replace(self, entry: Entry, wanted: Entry) -> bool:
        """Compare-and-swap once.

        Returns False if PHP or another request has written, or ended, what was loaded.
        """
        _check(wanted.header)
        self.write_queues.writing.add(entry.session_id)
        try:
            return await self.replace_data(entry, wanted.body, wanted.expires_at)
        finally:
            self.write_queues.writing.discard(entry.session_id)


@dataclass(frozen=True, slots=True)
class PHPRepository(SessionRepository):
    """As `SessionRepository`, with ids like those that PHP makes with these settings."""

    rows: PHPRows
    sid_length: int
    sid_bits_per_character: int

    async def renew(self, entry: Entry, change: Change, grace: int) -> tuple[Entry | None, bool]:
        raise ConfigurationError("PHP knows no old id that leads to a session: rotate the id instead of renewing it")

    async def remember_replaced(self, key: str) -> None:
        self._remember(key)

    async def _mark_replaced(self, entry: Entry) -> bool:
        """Delete the row: the old id is rejected from now on."""
        removed = await self.rows.delete(entry)
        if removed:
            self._remember(entry.session_id)
        return removed

    def _new_id(self) -> str:
        return make_session_id(self.sid_length, self.sid_bits_per_character)

    def _remember(self, session_id: str) -> None:
        self.rows.replaced.add(session_id, self.rows.clock())


def _header(session_id: str) -> Header:
    """Return what is known of a session besides its data: when it began isn't."""
    return Header(session_id, 0, 0, None, digest_of(session_id))


def _check(header: Header) -> None:
    if header.lifetime is not None:
        raise ConfigurationError(
            "the sessions of PHP have one lifetime, session.gc_maxlifetime: set_lifetime can't change that of one"
        )


def _as_written(data: bytes, format: Format) -> bytes:
    """Return a session as it would be written if nothing changed in it.

    So only a change counts as one.
    """
    if _MAY_DIFFER.search(data) is None:
        return data
    try:
        return dumps(loads(data, format), format)
    except (CorruptRecord, NotSerializable):  # which will be said when it is read, or saved
        return data
