"""The two tables of PHP's sessions. Pure.

A layout says their names, and how they keep the time of a session's last use.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...stores.mysql.names import quote_table
from ..local_times import LocalTimes

_LAST_OF_INT = 2**32 - 1
"""The last second of an INT UNSIGNED, in 2106."""

Times = tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionData:
    """The table of the Database adapter.

    Times are unix seconds; `modified_at` is NULL until the second write.
    """

    database: str | None
    table: str
    session_id: str
    data: str
    created_at: str
    modified_at: str

    @property
    def names(self) -> dict[str, str]:
        """Return what statements are made of."""
        created_at, modified_at = f"`{self.created_at}`", f"`{self.modified_at}`"
        return {
            **_quoted(self.database, self.table, self.session_id, self.data),
            "modified": modified_at,
            "age": f"COALESCE({modified_at}, {created_at})",
            "age_read": f"COALESCE({modified_at}, {created_at})",
            "times": f"{created_at}, {modified_at}",
            "time_values": "%s, %s",
        }

    def times_of_new(self, now: int, used_at: int) -> Times:
        """Return the values for the columns of times in a new row."""
        return now, None if used_at == now else self.to_column(used_at)

    def to_column(self, seconds: int) -> int | str:
        """Return what the column holds for unix seconds."""
        return min(max(seconds, 0), _LAST_OF_INT)

    def from_column(self, value: int | str) -> int:
        """Return unix seconds."""
        return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PHPSession:
    """The table of the HandlerSocket adapter.

    The time is a DATETIME in PHP's own time zone.
    """

    database: str | None
    table: str
    local_times: LocalTimes
    session_id: str = "id"
    data: str = "data"

    @property
    def names(self) -> dict[str, str]:
        """Return what statements are made of."""
        return {
            **_quoted(self.database, self.table, self.session_id, self.data),
            "modified": "`modified`",
            "age": "`modified`",
            "age_read": "CAST(`modified` AS CHAR)",
            "times": "`modified`",
            "time_values": "%s",
        }

    def times_of_new(self, now: int, used_at: int) -> Times:
        """Return the value for the column of the time in a new row."""
        return (self.to_column(used_at),)

    def to_column(self, seconds: int) -> int | str:
        """Return what the column holds for unix seconds."""
        return self.local_times.to_text(seconds)

    def from_column(self, value: int | str) -> int:
        """Return unix seconds."""
        return self.local_times.from_text(str(value))


Layout = SessionData | PHPSession


def _quoted(database: str | None, table: str, session_id: str, data: str) -> dict[str, str]:
    return {"table": quote_table(database, table), "id": f"`{session_id}`", "data": f"`{data}`"}
