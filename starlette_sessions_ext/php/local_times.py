"""Times as PHP's `date('Y-m-d H:i:s')` writes them. Pure.

They are in PHP's own time zone, and don't name it.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .._time import MAX_TIMESTAMP
from ..errors import ConfigurationError

_DATETIME = "%Y-%m-%d %H:%M:%S"
_DAY = 24 * 60 * 60


class LocalTimes:
    """The times of a time zone, such as Europe/Berlin.

    Raises `ConfigurationError` for one that isn't known.
    """

    def __init__(self, timezone: str) -> None:
        try:
            self.zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, TypeError, ValueError):
            raise ConfigurationError(
                "timezone must be PHP's date.timezone, such as Europe/Berlin; where the system has no time zones, "
                "pip install tzdata"
            ) from None

    def to_text(self, seconds: int) -> str:
        """Return the text for unix seconds."""
        local = datetime.fromtimestamp(min(max(seconds, 0), MAX_TIMESTAMP - _DAY), self.zone)
        return local.strftime(_DATETIME)

    def from_text(self, text: str) -> int:
        """Return unix seconds.

        Of an hour that clocks go through twice the second one counts, so that no session ends early.
        """
        local = datetime.strptime(text, _DATETIME).replace(tzinfo=self.zone, fold=1)
        return int(local.astimezone(UTC).timestamp())
