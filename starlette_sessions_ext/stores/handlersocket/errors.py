"""Translate the HandlerSocket client's errors to those of a store."""

from __future__ import annotations

from ...errors import ConfigurationError, SessionError, SessionUnavailable, StoreFull, StoreTimeout, StoreUnavailable
from ...handlersocket import ConnectionLost, HandlerSocketError, RemoteProtocolError, ServerError
from ..mysql.schema import TableSpec

LOST = (ConnectionLost, RemoteProtocolError, TimeoutError)
"""No answer, or none that can be trusted: what was asked has been done or not."""

_LOCKED = {"146", "149"}
_TABLE_LOCKED = "lock_tables"
_FULL = {"28", "135", "136", "189"}
_REACH = (
    "Check host, port and port_wr (9998 and 9999 unless set otherwise), that the server runs,"
    " and that it has the HandlerSocket plugin"
)
_SLOW = (
    "check that the server isn't overloaded or frozen, that host and ports are its own,"
    " and that no firewall drops packets on the way"
)


class ErrorTranslator:
    """Raise the client's errors as ours: `with errors: ...`.

    It may be used again and again, also at once.
    """

    def __init__(self, host: str, table: TableSpec) -> None:
        self._host = host
        self._table = table

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, HandlerSocketError | TimeoutError):
            raise to_store_error(error, self._host, self._table) from error


def is_rolled_back(error: ServerError) -> bool:
    """Return whether the server wrote nothing, for want of a lock.

    It waited too long for the lock, or the change was the victim of a deadlock.
    """
    return error.reason in _LOCKED or error.reason == _TABLE_LOCKED


def to_store_error(error: Exception, host: str, table: TableSpec) -> SessionError:
    """Return the error for a caller of the store, with the remedy."""
    place = f"HandlerSocket at {host}"
    if isinstance(error, TimeoutError):
        return StoreTimeout(f"{place} gave no answer within the deadline: {_SLOW}")
    if not isinstance(error, ServerError):
        return StoreUnavailable(f"{place} can't serve sessions: {error}. {_REACH}")
    if error.reason in _LOCKED:
        return SessionUnavailable(
            f"{place} gave up waiting for a lock (error {error.reason}), nothing was written:"
            " find the SQL transaction that keeps the session's row locked"
        )
    if error.reason == _TABLE_LOCKED:
        return StoreUnavailable(
            f"{place} can't write (error {error.reason}): the server is read-only, as replicas are"
            " (SET GLOBAL read_only = 0, or take the primary server),"
            f" or an SQL session holds GET_LOCK('handlersocket_wr') or locks {table.quoted}"
        )
    if error.reason in _FULL:
        return StoreFull(
            f"{place} has no room for what was to be written (error {error.code} {error.reason}):"
            " free space on its disk or in its tablespace; sessions-ext gc removes expired sessions"
        )
    return _refusal(error, place, table)


def _refusal(error: ServerError, place: str, table: TableSpec) -> SessionError:
    remedy = {
        "unauth": "it refuses the secret: give secret= and secret_wr= what the server has as"
        " handlersocket_plain_secret and handlersocket_plain_secret_wr",
        "readonly": "it only reads on the port given as port_wr. Give port_wr= the server's handlersocket_port_wr",
        "open_table": f"it can't open the table {table.quoted}: the database or the table is missing, or the name is"
        " wrong. Make it: sessions-ext migrate mysql://...",
        "fld": f"the table {table.quoted} lacks a column. Add it: sessions-ext migrate mysql://...,"
        f" or {table.alter_statement(table.column('version').add)}",
        "idxnum": f"the table {table.quoted} lacks an index. Add it: {table.alter_statement(table.add_index)}",
    }.get(error.reason)
    if remedy is None:
        return StoreUnavailable(f"{place} can't serve sessions (error {error.code} {error.reason})")
    kind = StoreUnavailable if error.reason in ("unauth", "readonly") else ConfigurationError
    return kind(f"{place}: {remedy}")
