"""Decide what is written for a session, and whether its cookie goes out. Pure.

Nothing else decides that.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from functools import partial
from typing import NamedTuple, final

from ..session import Intent
from .lifetimes import Lifetimes
from .record import Header


@final
class Entry(NamedTuple):
    """A session as loaded or just written.

    `version` is None where only another load can find it out.
    """

    session_id: str
    header: Header
    body: bytes
    expires_at: int
    version: Hashable = None

    @property
    def created_at(self) -> int:
        return self.header.created_at

    @property
    def lifetime(self) -> int | None:
        return self.header.lifetime

    @property
    def key(self) -> str:
        return self.header.key

    @property
    def public_id(self) -> str:
        return self.header.public_id

    @property
    def signed_in_at(self) -> int | None:
        return None if self.header.signed_in_ms is None else self.header.signed_in_ms // 1000

    def __repr__(self) -> str:
        return f"Entry({self.header!r}, expires_at={self.expires_at})"  # no id: a repr ends up in logs


new_entry = partial(tuple.__new__, Entry)
"""`Entry` of a tuple of all its fields, at a third of the price: every request with a session makes one."""


class SetCookie(NamedTuple):
    """A cookie to send: this id, for `max_age` seconds.

    If `max_age` is None the browser keeps the cookie until it closes.
    """

    session_id: str
    max_age: int | None

    def __repr__(self) -> str:
        return f"SetCookie(max_age={self.max_age})"  # never the id: a repr ends up in logs


class ClearCookie:
    """A cookie to remove."""


class Write(Enum):
    """The write that the repository makes to a session's row."""

    NOTHING = "nothing"
    TOUCH = "touch"
    UPDATE = "update"
    DELETE = "delete"
    ROTATE = "rotate"
    RENEW = "renew"


class Plan(NamedTuple):
    """The decision on one session: the write, and whether it was asked for.

    `entry` is the row after the write. It is the same entry if nothing changes, and None if nothing is left.
    `is_asked` means that the handler changed something. Otherwise the write is upkeep, and may fail quietly.
    """

    write: Write
    entry: Entry | None
    sends_cookie: bool
    is_asked: bool

    @property
    def changes_id(self) -> bool:
        return self.write is Write.ROTATE or self.write is Write.RENEW


class CookieState(NamedTuple):
    """The state of the client's cookie.

    `writable` means that the response's headers are still to come.

    `client_id` is the id that the client has or is about to be given; None if it has none, or one whose
    cookie has to be sent again in any case, such as after a change of secret.
    """

    client_id: str | None
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
    header = entry.header
    lifetime = intent.lifetime if intent.sets_lifetime else header.lifetime
    asked = body != entry.body or lifetime != header.lifetime or intent.rotate or intent.renew_grace is not None
    if body is None:
        return Plan(Write.DELETE, None, True, asked)
    header = header._replace(lifetime=lifetime)
    if intent.sign_in is not None:
        header = header._replace(signed_in_ms=intent.sign_in.ms, details=intent.sign_in.details)
    changed = body != entry.body or header != entry.header
    moves = lifetime != entry.header.lifetime or (
        cookie.writable and lifetimes.touch_due(header, entry.expires_at, now)
    )
    wanted = entry
    if changed or moves:
        expires_at = lifetimes.expires_at(header, now) if moves else entry.expires_at
        wanted = Entry(entry.session_id, header, body, expires_at)
    if intent.rotate:
        return Plan(Write.ROTATE, wanted, True, asked)
    if intent.renew_grace is not None or (renews and cookie.writable and lifetimes.renew_due(header, now)):
        return Plan(Write.RENEW, wanted, True, asked)
    sends_cookie = cookie.writable and (
        cookie.client_id != entry.session_id
        or (moves and (intent.sets_lifetime or lifetimes.touch_moves_cookie(header, now)))
    )
    if changed or (moves and sends_cookie):
        # A touch whose cookie goes out is no mere touch: the session may have another id by now.
        return Plan(Write.UPDATE, wanted, sends_cookie, asked)
    return Plan(Write.TOUCH if moves else Write.NOTHING, wanted, sends_cookie, asked)


def plan_data_only(entry: Entry, body: bytes) -> Entry:
    """Make the row of the table that most writes are, without the table.

    It holds where the handler asked for nothing but a change of data that leaves some, the client's
    cookie is the session's, and `Lifetimes.upkeep_due` is false.
    """
    return entry if body == entry.body else new_entry((entry.session_id, entry.header, body, entry.expires_at, None))
