"""Lifetimes that standards ask for, to be spread into the middleware.

    app.add_middleware(SessionMiddleware, secret_key=..., **AAL2)

They are those of NIST SP 800-63B-4 (sections 2.1.3, 2.2.3 and 2.3.3), by the assurance level of the
sign-in: after the absolute time, and from level 2 on after so much inactivity, a person has to
authenticate again. The server holds to both, whatever a browser does with its cookie. A session of
its own lifetime (`Session.set_lifetime`) replaces the time of inactivity, never the absolute one.
"""

from __future__ import annotations

from typing import TypedDict

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Preset(TypedDict):
    """Options of `SessionMiddleware`, in seconds."""

    max_age: int
    idle_timeout: int
    absolute_timeout: int


AAL1 = Preset(max_age=30 * DAY, idle_timeout=30 * DAY, absolute_timeout=30 * DAY)
"""30 days at most."""

AAL2 = Preset(max_age=24 * HOUR, idle_timeout=HOUR, absolute_timeout=24 * HOUR)
"""24 hours at most, and an hour of inactivity."""

AAL3 = Preset(max_age=12 * HOUR, idle_timeout=15 * MINUTE, absolute_timeout=12 * HOUR)
"""12 hours at most, and 15 minutes of inactivity."""
