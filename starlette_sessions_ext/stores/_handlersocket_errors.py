"""What the HandlerSocket client's errors mean to a store."""

from __future__ import annotations

from ..errors import ConfigurationError, SessionError, StoreTimeout, StoreUnavailable
from ..handlersocket import ConnectionLost, HandlerSocketError, Index, RemoteProtocolError, ServerError
from ._mysql_tables import quote

LOST = (ConnectionLost, RemoteProtocolError, TimeoutError)
"""No answer, or none that can be trusted: what was asked has been done or not."""

_UNDONE = {"146", "149", "lock_tables"}


class OurErrors:
    """Raises the client's errors as ours: `with errors: ...`, as often as wanted, also at once."""

    def __init__(self, host: str, index: Index) -> None:
        self._host = host
        self._index = index

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, HandlerSocketError | TimeoutError):
            raise as_ours(error, self._host, self._index) from error


def is_undone(error: ServerError) -> bool:
    """Waited too long for a lock, or the victim of a deadlock: nothing was written."""
    return error.reason in _UNDONE


def as_ours(error: Exception, host: str, index: Index) -> SessionError:
    """What a caller of the store is told, and what mends it."""
    place, table = f"HandlerSocket at {host}", quote(index.database, index.table)
    if not isinstance(error, ServerError):
        kind = StoreTimeout if isinstance(error, TimeoutError) else StoreUnavailable
        return kind(f"{place} can't serve sessions: {str(error) or 'no answer within the deadline'}")
    if is_undone(error):
        return StoreTimeout(f"{place} gave up waiting for a lock (error {error.reason})")
    remedy = {
        "unauth": "it refuses the secret: give secret= and secret_wr= what the server has as"
        " handlersocket_plain_secret and handlersocket_plain_secret_wr",
        "open_table": f"it can't open the table {table}. Make it: sessions-ext migrate mysql://...",
        "fld": f"the table {table} lacks a column. Mend it: sessions-ext migrate mysql://...,"
        f" or ALTER TABLE {table} ADD COLUMN version BIGINT UNSIGNED NOT NULL DEFAULT 0;",
        "idxnum": f"the table {table} lacks an index. Mend it: ALTER TABLE {table} ADD KEY modified (modified);",
    }.get(error.reason)
    if remedy is None:
        return StoreUnavailable(f"{place} can't serve sessions (error {error.code} {error.reason})")
    return (StoreUnavailable if error.reason == "unauth" else ConfigurationError)(f"{place}: {remedy}")
