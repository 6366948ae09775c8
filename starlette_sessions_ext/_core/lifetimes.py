"""The lifetimes of sessions: idle, absolute, touched and renewed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from .._time import MAX_DURATION, MAX_TIMESTAMP, Duration, parse_duration
from ..errors import ConfigurationError
from .record import Header

DEFAULT_IDLE = 14 * 24 * 60 * 60
"""Seconds that a browser-session cookie's session (`max_age=None`) lives without use."""

RENEW_GRACE = 10
"""Seconds for which the old id still leads to a session that `renew_after` renewed: any page has loaded by then."""


@dataclass(frozen=True)
class Lifetimes:
    """The rules of idle and absolute expiry, and of touching. All times are seconds.

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

    def expires_at(self, header: Header, now: float) -> int:
        """Return when a session that is used now will expire, in unix seconds."""
        return min(int(now) + self._pace(header)[0], self._absolute_end(header))

    def expired(self, header: Header, now: float) -> bool:
        """Return whether the absolute deadline has come.

        The idle deadline is the store's `expires_at`.
        """
        return self.absolute is not None and now >= header.created_at + self.absolute

    def touch_every(self, header: Header) -> int:
        """Return the seconds by which an expiry has to move before it is written."""
        return self._pace(header)[1]

    def touch_due(self, header: Header, expires_at: int, now: float) -> bool:
        """Return whether a use now moves the stored `expires_at` far enough to be written.

        It moves in both directions: a shorter idle timeout applies to the next use.
        """
        return abs(self.expires_at(header, now) - expires_at) >= self.touch_every(header)

    def upkeep_due(self, header: Header, expires_at: int, now: float) -> bool:
        """Return whether a use now moves the expiry or renews the id."""
        if header.lifetime is None and (quiet := self._quiet) is not None:
            least, most = quiet
            return not least < expires_at - now <= most
        return self.touch_due(header, expires_at, now) or self.renew_due(header, now)

    def renew_due(self, header: Header, now: float) -> bool:
        """Return whether the id is old enough for a use to renew it."""
        return self.renew_after is not None and now - header.issued_at >= self.renew_after

    def last_used_at(self, header: Header, expires_at: int, now: float) -> int:
        """Return when a session was last used (unix seconds), computed from its expiry."""
        idle = self._pace(header)[0]
        return max(header.issued_at, min(expires_at - idle, int(now)))

    def cookie_max_age(self, header: Header, now: float) -> int | None:
        """Return the cookie's Max-Age in seconds; None if it ends with the browser."""
        max_age = self.max_age if header.lifetime is None else header.lifetime
        if max_age is None:
            return None
        return min(max_age, self._absolute_end(header) - int(now))

    def touch_moves_cookie(self, header: Header, now: float) -> bool:
        """Return whether a cookie sent now would outlive one sent earlier."""
        max_age = self.max_age if header.lifetime is None else header.lifetime
        return max_age is not None and int(now) + max_age < self._absolute_end(header)

    @cached_property
    def _quiet(self) -> tuple[float, float] | None:
        """The distances to its expiry between which a session is left alone.

        It is None where something else than use moves the expiry.
        """
        if self.absolute is not None or self.renew_after is not None:
            return None
        idle, every = self._usual_pace
        return float(idle - every), float(idle + every - 1)

    def _pace(self, header: Header) -> tuple[int, int]:
        """Return the seconds a session lives without use, and those before a write.

        The second number is how far its expiry has to move before it is written.
        """
        return self._usual_pace if header.lifetime is None else self._pace_of(header.lifetime)

    @cached_property
    def _usual_pace(self) -> tuple[int, int]:
        """The pace of sessions without a separate lifetime.

        It is computed once, since every request needs it.
        """
        idle = self.max_age if self.idle is None else self.idle
        return self._pace_of(DEFAULT_IDLE if idle is None else max(idle, 0))

    def _pace_of(self, idle: int) -> tuple[int, int]:
        interval = self.touch_interval
        if interval is None or interval >= idle:  # a session's own lifetime may be shorter than the interval
            interval = idle // 10
        return idle, max(interval, 1)

    def _absolute_end(self, header: Header) -> int:
        return MAX_TIMESTAMP if self.absolute is None else header.created_at + self.absolute
