"""What is stored for a session, and how long it lives. Pure.

A stored record is one header line and the serialized data:

    s1 <key> <created_at> <issued_at> <lifetime> <nonce>\\n<body>

`created_at` is when the session began and `issued_at` when it got its present id, in unix seconds;
`lifetime` is in seconds, or `-` where the middleware's settings hold. The record names its own
key: bytes that end up under another session's key, by whatever fault of a server, a pool or a
backup, are refused instead of shown to somebody else. The nonce is new for every write, so that a
writer whose answer was lost can tell its own bytes from equal data that a parallel request wrote.

Where a session was renewed its old row has become an alias, which leads to the new one:

    a2 <key> <made_at> <until> <nonce> <key of the new id>\\n

`made_at` and `until` (unix seconds) stand in the bytes, where nothing that moves a row's expiry can
move them. `a1` lacks `made_at`: version 0.1 made such aliases, and those of legacy cookies are such.
The new id itself isn't there: it follows from the old id, the nonce and the secret.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import NamedTuple

from ._time import MAX_DURATION, MAX_TIMESTAMP, Duration, parse_duration
from .errors import ConfigurationError, CorruptRecord

HEADER_CACHE_SIZE = 2048
"""How many header lines are known again without being read: a page is many requests."""

_HEADER = re.compile(rb"s1 ([a-z2-7]{32}) ([0-9]{1,12}) ([0-9]{1,12}) ([0-9]{1,12}|-) ")
_ALIAS = re.compile(
    rb"(?:a1 ([a-z2-7]{32})|a2 ([a-z2-7]{32}) ([0-9]{1,12})) ([0-9]{1,12}) ([0-9a-f]{16}) ([a-z2-7]{32})\n"
)
_HEX_DIGITS = b"0123456789abcdef"
_NO_RECORD = "a stored row isn't a session record; it was left as it is"
_FOREIGN = "a stored record belongs to another session; it was left as it is"

DEFAULT_IDLE = 14 * 24 * 60 * 60
"""Seconds that a browser-session cookie's session (`max_age=None`) lives without use."""

RENEW_GRACE = 10
"""Seconds for which the old id still leads to a session that `renew_after` renewed: any page has loaded by then."""


class Record(NamedTuple):
    """One session as the store holds it. `lifetime` (seconds) is set by `Session.set_lifetime`."""

    key: str
    created_at: int
    issued_at: int
    lifetime: int | None
    body: bytes

    def __repr__(self) -> str:
        return f"Record(created_at={self.created_at}, issued_at={self.issued_at}, lifetime={self.lifetime})"

    def encode(self, nonce: str) -> bytes:
        """The bytes to store. `nonce` is 16 hex digits, another one for every write."""
        lifetime = "-" if self.lifetime is None else self.lifetime
        return f"s1 {self.key} {self.created_at} {self.issued_at} {lifetime} {nonce}\n".encode() + self.body


@dataclass(frozen=True, slots=True)
class Alias:
    """What is left under an old id: until when (unix seconds) it leads to the session under the key `target`.

    `made_at` is when it was made (unix seconds), where that is known.
    """

    key: str = field(repr=False)
    until: int
    nonce: str = field(repr=False)
    target: str = field(repr=False)
    made_at: int | None = None

    def encode(self) -> bytes:
        """Return the bytes to store."""
        kind = f"a1 {self.key}" if self.made_at is None else f"a2 {self.key} {self.made_at}"
        return f"{kind} {self.until} {self.nonce} {self.target}\n".encode()


def decode(raw: bytes, key: str) -> Record | Alias:
    """Read what is stored under `key`. Raise `CorruptRecord` if it is anything else."""
    if raw.startswith(b"a"):
        return _decode_alias(raw, key)
    end = raw.find(b"\n") + 1
    if not end or raw[end - 17 : end - 1].strip(_HEX_DIGITS):  # the nonce, which is another one for each write
        raise CorruptRecord(_NO_RECORD)
    found_key, created_at, issued_at, lifetime = _read_header(raw[: end - 17])
    if found_key != key:
        raise CorruptRecord(_FOREIGN)
    return Record(key, created_at, issued_at, lifetime, raw[end:])


@lru_cache(HEADER_CACHE_SIZE)
def _read_header(header: bytes) -> tuple[str, int, int, int | None]:
    """Return key, times and lifetime of a record's header line without its nonce. Raises `CorruptRecord`."""
    match = _HEADER.fullmatch(header)
    if match is None:
        raise CorruptRecord(_NO_RECORD)
    key, created_at, issued_at, lifetime = match.groups()
    return key.decode(), int(created_at), int(issued_at), None if lifetime == b"-" else int(lifetime)


def _decode_alias(raw: bytes, key: str) -> Alias:
    match = _ALIAS.fullmatch(raw)
    if match is None:
        raise CorruptRecord(_NO_RECORD)
    old_key, new_key, made_at, until, nonce, target = match.groups()
    if (old_key or new_key).decode() != key:
        raise CorruptRecord(_FOREIGN)
    return Alias(key, int(until), nonce.decode(), target.decode(), None if made_at is None else int(made_at))


@dataclass(frozen=True)
class Lifetimes:
    """How long sessions live, all in seconds. The rules of idle and absolute expiry, and of touching.

    `max_age` is the cookie's (None: until the browser closes), `idle` the time without use,
    `absolute` the time since sign-in that nothing extends, `touch_interval` how much a deadline
    has to move before it is written again, `renew_after` the age of an id at which it is renewed.
    """

    max_age: int | None
    idle: int | None = None
    absolute: int | None = None
    touch_interval: int | None = None
    renew_after: int | None = None

    @classmethod
    def configured(
        cls,
        max_age: Duration | None,
        idle: Duration | None,
        absolute: Duration | None,
        touch_interval: Duration | None,
        renew_after: Duration | None = None,
    ) -> Lifetimes:
        """Read the middleware's options. Raise `ConfigurationError` for what can't work.

        As with Starlette's sessions a `max_age` of 0 or less is taken: such a session has ended at once.
        """
        if isinstance(max_age, timedelta):
            max_age = int(max_age.total_seconds())
        if max_age is not None and (type(max_age) is not int or abs(max_age) > MAX_DURATION):
            raise ConfigurationError("max_age must be an int of seconds, a timedelta, or None for a browser session")
        lifetimes = cls(
            max_age,
            None if idle is None else parse_duration(idle, "idle_timeout"),
            None if absolute is None else parse_duration(absolute, "absolute_timeout"),
            None if touch_interval is None else parse_duration(touch_interval, "touch_interval"),
            None if renew_after is None else parse_duration(renew_after, "renew_after"),
        )
        lifetimes._check()
        return lifetimes

    def _check(self) -> None:
        idle = self.idle or (DEFAULT_IDLE if self.max_age is None else self.max_age)
        if self.idle is not None and self.max_age is not None and self.idle > self.max_age:
            raise ConfigurationError("idle_timeout is longer than the cookie lives: raise max_age, or make it None")
        if self.idle is not None and self.absolute is not None and self.idle > self.absolute:
            raise ConfigurationError("idle_timeout is longer than absolute_timeout, which ends the session before")
        if self.touch_interval is not None and 0 < idle <= self.touch_interval:
            raise ConfigurationError("touch_interval must be shorter than the idle time, or sessions in use expire")
        if self.renew_after is not None and self.renew_after <= RENEW_GRACE:
            raise ConfigurationError(
                f"renew_after must be longer than the {RENEW_GRACE} s for which the old id still leads to the session"
            )

    def expires_at(self, record: Record, now: float) -> int:
        """When a session that is used now will expire (unix seconds)."""
        return min(int(now) + self._pace(record)[0], self._absolute_end(record))

    def expired(self, record: Record, now: float) -> bool:
        """Whether the absolute deadline has come. The idle one is the store's `expires_at`."""
        return self.absolute is not None and now >= record.created_at + self.absolute

    def touch_every(self, record: Record) -> int:
        """How far (seconds) a session's expiry has to move before it is written."""
        return self._pace(record)[1]

    def touch_due(self, record: Record, expires_at: int, now: float) -> bool:
        """Return whether a use now moves the stored `expires_at` far enough to be written.

        It moves in both directions: a shorter idle timeout applies to the next use.
        """
        return abs(self.expires_at(record, now) - expires_at) >= self.touch_every(record)

    def next_write_at(self, record: Record, expires_at: int, now: float) -> float:
        """Return when (unix seconds) a use of the session will next move its expiry or renew its id."""
        if record.lifetime is None and self._plain is not None:
            idle, every = self._plain
            return expires_at + every - idle if expires_at - int(now) < idle + every else now
        idle, every = self._pace(record)
        at: float = expires_at + every - idle
        if self.absolute is not None and record.created_at + self.absolute - expires_at < every:
            at = math.inf
        if expires_at - self.expires_at(record, now) >= every:
            at = now
        return at if self.renew_after is None else min(at, record.issued_at + self.renew_after)

    def renew_due(self, record: Record, now: float) -> bool:
        """Whether the session has had its id for so long that a use gives it another."""
        return self.renew_after is not None and now - record.issued_at >= self.renew_after

    def cookie_max_age(self, record: Record, now: float) -> int | None:
        """The cookie's Max-Age in seconds; None for a cookie that ends with the browser."""
        max_age = self.max_age if record.lifetime is None else record.lifetime
        if max_age is None:
            return None
        return min(max_age, self._absolute_end(record) - int(now))

    def touch_moves_cookie(self, record: Record, now: float) -> bool:
        """Whether a cookie sent now would outlive one sent earlier."""
        max_age = self.max_age if record.lifetime is None else record.lifetime
        return max_age is not None and int(now) + max_age < self._absolute_end(record)

    @cached_property
    def _plain(self) -> tuple[int, int] | None:
        """The usual pace, where nothing but use moves the expiry and no id is renewed."""
        return self._usual_pace if self.absolute is None and self.renew_after is None else None

    def _pace(self, record: Record) -> tuple[int, int]:
        """How long it lives without use, and how far its expiry has to move before it is written."""
        return self._usual_pace if record.lifetime is None else self._pace_of(record.lifetime)

    @cached_property
    def _usual_pace(self) -> tuple[int, int]:
        """That of sessions without a lifetime of their own; reckoned once, for every request asks."""
        idle = self.max_age if self.idle is None else self.idle
        return self._pace_of(DEFAULT_IDLE if idle is None else max(idle, 0))

    def _pace_of(self, idle: int) -> tuple[int, int]:
        interval = self.touch_interval
        if interval is None or interval >= idle:  # a session's own lifetime may be shorter than the interval
            interval = idle // 10
        return idle, max(interval, 1)

    def _absolute_end(self, record: Record) -> int:
        return MAX_TIMESTAMP if self.absolute is None else record.created_at + self.absolute
