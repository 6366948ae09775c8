"""The one decision: what is written for a session, and whether its cookie goes out. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import NamedTuple

from ..session import Intent
from .lifetimes import Lifetimes
from .record import Record


class Entry(NamedTuple):
    """A session as loaded or just written. `version` is None where only another load can tell it."""

    session_id: str
    record: Record
    expires_at: int
    version: Hashable = None

    @property
    def created_at(self) -> int:
        return self.record.created_at

    @property
    def lifetime(self) -> int | None:
        return self.record.lifetime

    def __repr__(self) -> str:
        return f"Entry({self.record!r}, expires_at={self.expires_at})"  # no id: a repr ends up in logs


class SetCookie(NamedTuple):
    """A cookie to send: this id, for `max_age` seconds; None: until the browser closes."""

    session_id: str
    max_age: int | None

    def __repr__(self) -> str:
        return f"SetCookie(max_age={self.max_age})"  # never the id: a repr ends up in logs


class ClearCookie:
    """A cookie to remove."""


class Write(Enum):
    """What the repository is asked to do with a session's row."""

    NOTHING = "nothing"
    TOUCH = "touch"
    UPDATE = "update"
    DELETE = "delete"
    ROTATE = "rotate"
    RENEW = "renew"


class Plan(NamedTuple):
    """`entry` is what the row should become: itself if nothing changes, None if nothing is left of it.

    `is_asked`: the handler changed something. Otherwise the write is upkeep, and may fail quietly.
    """

    write: Write
    entry: Entry | None
    sends_cookie: bool
    is_asked: bool

    @property
    def changes_id(self) -> bool:
        return self.write is Write.ROTATE or self.write is Write.RENEW


class CookieState(NamedTuple):
    """What is known of the client's cookie. `writable`: the response's headers are still to come.

    `client_id` is the id that the client has or is about to be given. `outdated`: its cookie has to
    be sent again in any case, such as after a change of secret.
    """

    client_id: str | None
    outdated: bool
    writable: bool


def plan(
    entry: Entry,
    body: bytes | None,
    intent: Intent,
    cookie: CookieState,
    lifetimes: Lifetimes,
    now: float,
    *,
    renews: bool = True,
) -> Plan:
    """Choose the one write for a session that has a row.

    `body` is the session's data as bytes, None if it is empty. `renews`: the id may be renewed for
    its age. The end of a session isn't planned here: it is unconditional, and comes before.
    """
    record = entry.record
    lifetime = intent.lifetime if intent.sets_lifetime else record.lifetime
    changed = body != record.body or lifetime != record.lifetime
    asked = changed or intent.rotate or intent.renew_grace is not None
    if body is None:
        return Plan(Write.DELETE, None, True, asked)
    if changed:
        record = Record(record.key, record.created_at, record.issued_at, lifetime, body)
    refreshes = cookie.outdated and cookie.writable
    moves = (
        refreshes
        or lifetime != entry.record.lifetime
        or (cookie.writable and lifetimes.touch_due(record, entry.expires_at, now))
    )
    wanted = entry
    if changed or moves:
        expires_at = lifetimes.expires_at(record, now) if moves else entry.expires_at
        wanted = Entry(entry.session_id, record, expires_at)
    if intent.rotate:
        return Plan(Write.ROTATE, wanted, True, asked)
    if intent.renew_grace is not None or (renews and cookie.writable and lifetimes.renew_due(record, now)):
        return Plan(Write.RENEW, wanted, True, asked)
    sends_cookie = cookie.writable and (
        cookie.client_id != entry.session_id
        or (moves and (refreshes or intent.sets_lifetime or lifetimes.touch_moves_cookie(record, now)))
    )
    if changed or (moves and sends_cookie):
        # A touch whose cookie goes out is no mere touch: the session may have another id by now.
        return Plan(Write.UPDATE, wanted, sends_cookie, asked)
    return Plan(Write.TOUCH if moves else Write.NOTHING, wanted, sends_cookie, asked)
