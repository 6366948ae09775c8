"""The columns of `php_session`, as HandlerSocket indexes and searches. Pure.

Times and versions are made here as well. HandlerSocket answers success to what doesn't fit: it cuts texts and
keys that are too long, writes `0000-00-00 00:00:00` for a time that isn't one, and zero into every column
that it is given no value for. So everything here is made to fit before it is sent.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Hashable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, TypeGuard

from ...errors import ConfigurationError
from ...handlersocket import Filter, Index, Where
from ..mysql.names import IDENTIFIER
from ..mysql.schema import TableSpec, php_session

VERSION, MODIFIED, OWNER = 0, 1, 2
"""Positions among the filter columns."""


class Indexes(NamedTuple):
    """The indexes that are opened on every connection, under these ids."""

    rows: Index
    expiries: Index  # what touch sets, and delete reads back, without the data
    oldest: Index  # by `modified`, to find what has expired
    keys: Index

    @property
    def table(self) -> TableSpec:
        return php_session(self.rows.database, self.rows.table)

    @property
    def for_writing(self) -> tuple[Index, Index]:
        return self.rows, self.expiries


def indexes_of(database: str, table: str) -> Indexes:
    """Return the indexes of a table.

    Raises `ConfigurationError` for a name that can't be a database or table.
    """
    if not all(isinstance(name, str) and IDENTIFIER.fullmatch(name) for name in (database, table)):
        raise ConfigurationError("dbname and dbtable are 1 to 64 characters of A-Z, a-z, 0-9, _ and $")
    filters = ("version", "modified")
    return Indexes(
        Index(0, database, table, "PRIMARY", ("id", "modified", "data", "version"), filters, echo=0),
        Index(1, database, table, "PRIMARY", ("id", "modified"), filters, echo=0),
        Index(2, database, table, "modified", ("id",)),
        Index(3, database, table, "PRIMARY", ("id",)),
    )


class OwnerIndexes(NamedTuple):
    """The indexes of owners, opened on the connections that need them.

    They are for a table that has owners.
    """

    rows: Index  # to write rows with their owner
    by_owner: Index
    owners: Index  # by key


def owner_indexes_of(database: str, table: str) -> OwnerIndexes:
    """Return the indexes of owners for a table whose names have been checked."""
    filters = ("version", "modified", "owner")
    by_owner = php_session(database, table).owner_index_name
    return OwnerIndexes(
        Index(4, database, table, "PRIMARY", ("id", "modified", "data", "version", "owner"), filters, echo=0),
        Index(5, database, table, by_owner, ("owner", "id"), filters),
        Index(6, database, table, "PRIMARY", ("id", "owner"), filters, echo=0),
    )


def living(key: str, newest_expired: str, version: int | None = None) -> Where:
    """Find the row of a session that is alive.

    With a version it has to have that one.
    """
    alive = Filter(">", MODIFIED, newest_expired)
    return Where("=", (key,), filters=(alive,) if version is None else (alive, Filter("=", VERSION, version)))


def expired(key: bytes | str | None, newest_expired: str) -> Where:
    return Where("=", (key,), filters=(Filter("<=", MODIFIED, newest_expired),))


def owned(key: str, owner: str, newest_expired: str) -> Where:
    """Find the row of a session that is alive, while it is the owner's."""
    return Where("=", (key,), filters=(Filter(">", MODIFIED, newest_expired), Filter("=", OWNER, owner)))


def owned_after(owner: str, key: str, newest_expired: str, limit: int) -> Where:
    """Find an owner's rows that are alive, in the order of their keys after `key`.

    With the first row of another owner the search ends.
    """
    filters = (Filter("=", OWNER, owner, stops=True), Filter(">", MODIFIED, newest_expired))
    return Where(">", (owner, key), limit=limit, filters=filters)


def is_version(version: Hashable) -> TypeGuard[int]:
    """Return whether the column could hold the version.

    The server would take a larger number for the largest.
    """
    return type(version) is int and 0 <= version < 2**63


def first_version() -> int:
    """Return a random version.

    So a version of a row that was deleted and made again is worth nothing.
    """
    return secrets.randbits(62)


def version_after(version: int) -> int:
    """Return the next version.

    The upper 31 bits count on, so that they show the order of versions. The lower 32 bits distinguish
    versions that follow the same one.
    """
    return ((version >> 32) + 1) % 2**31 << 32 | secrets.randbits(32)


def was_rolled_back(found: int, before: int, mine: int) -> bool:
    """Return whether the acknowledged version `mine` can't have been committed.

    `mine` took the place of `before`, and the row has the version `found` now.
    """
    return found == before or (found != mine and found >> 32 == mine >> 32)


@lru_cache(maxsize=1024)  # for all sessions that are written within a second it is mostly one
def to_time(seconds: int) -> str:
    """Return a DATETIME in UTC, from unix seconds.

    A time before 1970 becomes 1970: it is long expired.
    """
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(max(seconds, 0)))


def from_time(text: bytes | None) -> int:
    """Return the unix seconds of a DATETIME; 0, long expired, for the zero date."""
    try:
        return int(datetime.fromisoformat((text or b"").decode()).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 0
