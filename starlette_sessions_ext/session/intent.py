"""The requests of a handler besides changes of data, as one value. Pure."""

from __future__ import annotations

from typing import NamedTuple


class SignIn(NamedTuple):
    """The sign-in in a record: its time (unix milliseconds) and its details.

    Both are None after a sign-out.
    """

    ms: int | None
    details: str | None


class Intent(NamedTuple):
    """The requests of a handler besides changes of data. Times are seconds.

    `sign_in` isn't asked for: it follows from `reauthenticates` and from a change of the session's user.
    """

    end: bool = False
    rotate: bool = False
    renew_grace: int | None = None
    sets_lifetime: bool = False
    lifetime: int | None = None
    reauthenticates: bool = False
    sign_in: SignIn | None = None

    def then(self, later: Intent) -> Intent:
        """Return the sum of two intents. An end drops what was asked before it."""
        if later.end:
            return later
        lifetime = later if later.sets_lifetime else self
        return Intent(
            end=self.end,
            rotate=self.rotate or later.rotate,
            renew_grace=self.renew_grace if later.renew_grace is None else later.renew_grace,
            sets_lifetime=lifetime.sets_lifetime,
            lifetime=lifetime.lifetime,
            reauthenticates=self.reauthenticates or later.reauthenticates,
        )


NO_INTENT = Intent()
