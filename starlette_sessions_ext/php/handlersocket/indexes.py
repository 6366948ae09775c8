"""What is opened of the table `php_session`. Pure."""

from __future__ import annotations

from ...handlersocket import Index
from ...stores.handlersocket.columns import Indexes, indexes_of

_FILTERS = ("modified",)


def php_indexes_of(database: str, table: str) -> Indexes:
    """Raise `ConfigurationError` for what can't be a database or table.

    Only `rows` has the id, which a change sets as well: for the column's collation `a` and `A` are one. For the same
    reason none says where the key comes back.
    """
    keys = indexes_of(database, table).keys
    return Indexes(
        Index(0, database, table, "PRIMARY", ("id", "modified", "data"), _FILTERS),
        Index(1, database, table, "PRIMARY", ("modified",), _FILTERS),
        Index(2, database, table, "modified", ("id", "modified"), _FILTERS),
        keys,
    )
