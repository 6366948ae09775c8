"""Explain asyncpg's errors by the server's SQLSTATE: the cause, and the remedy."""

from __future__ import annotations

import socket
import ssl

from asyncpg import InterfaceError, InternalClientError, PostgresError, TargetServerAttributeNotMatched

from ...errors import SessionTooLarge, SessionUnavailable, StoreError, StoreFull, StoreTimeout, StoreUnavailable

DRIVER_ERRORS = (PostgresError, InterfaceError, InternalClientError, OSError)

SLOW = (
    "check that the server isn't overloaded or frozen, that host and port are its own,"
    " and that no firewall drops packets on the way"
)

_READ_ONLY_STATE = "25006"
_UNDONE = {"40P01", "40001"}
_LOCKED = {"55P03"} | _UNDONE
_TIMED_OUT = {"57014"}
_TOO_LARGE = {"54000"}
_FULL = {"53100"}
_NO_STATEMENT = {"26000", "42P05"}
_LOST = {"57P01", "57P02", "57P03", "57P05"} | _NO_STATEMENT

READ_ONLY = (
    "the server is a standby, or read-only. Name the primary in the URL, or all servers separated by commas;"
    " on a primary: ALTER SYSTEM SET default_transaction_read_only = off"
)
_LEFT = "the connection was lost. Check that the server runs, and its log for a crash"
_NO_TABLE = "there is no such table or column. Run: sessions-ext migrate postgresql://..."
_RIGHTS = (
    "the account lacks a right. GRANT SELECT, INSERT, UPDATE, DELETE on the session table, and USAGE on its schema"
)
_CROWDED = "the server has too many connections. Raise max_connections there, or lower pool_size or the processes"
_BOUNCED = "the server, or PgBouncer before it, knows no prepared statements. Add ?statement_cache_size=0 to the URL"
_TLS = (
    "TLS failed. Check that the server offers TLS; add ?sslrootcert=/path/to/ca.pem for a private certificate"
    " authority, and name the host as the server's certificate does"
)
_CAUSES = {
    _READ_ONLY_STATE: READ_ONLY,
    "28000": "the server refuses the account. Check its name, and that pg_hba.conf lets it in from this machine;"
    " the server may also need TLS (?sslmode=require in the URL)",
    "28P01": "the server refuses the account or its password. Check both, percent-encoded in a URL",
    "3D000": "there is no such database. CREATE DATABASE it, or correct its name",
    "3F000": "there is no such schema. CREATE SCHEMA it, or correct its name",
    "42501": _RIGHTS,
    "42703": _NO_TABLE,
    "42P01": _NO_TABLE,
    "53300": _CROWDED,
    "57P03": "the server is starting, stopping or recovering. Wait, and look into its log",
    **dict.fromkeys(_NO_STATEMENT, _BOUNCED),
}


def is_undone(error: BaseException) -> bool:
    """Return whether the server has undone the statement for another's sake.

    It may well succeed at once.
    """
    return _state(error) in _UNDONE


def is_statement_error(error: BaseException) -> bool:
    """Return whether this is the server's complete answer to a statement.

    The connection is as good as before.
    """
    return bool(_state(error)) and not is_connection_lost(error) and not is_read_only(error)


def is_read_only(error: BaseException) -> bool:
    """Return whether the server refuses writes, as a standby does."""
    return _state(error) == _READ_ONLY_STATE


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the connection is lost.

    It broke, the server shut down, or an operator ended the connection.
    """
    state = _state(error)
    if isinstance(error, PostgresError):
        return state in _LOST or state.startswith("08")
    return isinstance(error, ConnectionError | InterfaceError | InternalClientError) and not isinstance(
        error, TargetServerAttributeNotMatched
    )


def to_store_error(error: Exception, place: str) -> StoreError:
    """Return the error for a caller of the store.

    The server's words are left out: they may quote a row.
    """
    state = _state(error)
    if state in _LOCKED:
        return SessionUnavailable(
            f"{place} gave up waiting for a lock ({state}), nothing was written:"
            " find the transaction that keeps the session's row, or the table, locked"
        )
    if state in _TIMED_OUT:
        return StoreTimeout(f"{place} gave up on a statement ({state}): {SLOW}")
    if state in _TOO_LARGE:
        return SessionTooLarge(f"{place} refused the session as too large ({state}), nothing was written")
    if state in _FULL:
        return StoreFull(
            f"{place} has no room for what was to be written ({state}):"
            " free space on its disk; sessions-ext gc removes expired sessions"
        )
    name = f"{type(error).__name__} {state}".strip()
    cause = _cause(error, state)
    return StoreUnavailable(f"{place} can't serve sessions ({name})" + (f": {cause}" if cause else ""))


def _cause(error: Exception, state: str) -> str | None:
    if isinstance(error, TargetServerAttributeNotMatched):
        return READ_ONLY
    if isinstance(error, ssl.SSLError) or "SSL upgrade" in str(error):
        return _TLS
    if isinstance(error, socket.gaierror):
        return "its host name can't be resolved. Correct the host in the URL"
    if state in _CAUSES:
        return _CAUSES[state]
    if is_connection_lost(error) and not isinstance(error, ConnectionRefusedError):
        return _LEFT
    if isinstance(error, OSError):
        reason = error.strerror or "no address of the host answered"
        return f"{reason}. Check host and port, that the server runs, and that it listens on this address"
    return None


def _state(error: BaseException) -> str:
    return (error.sqlstate or "") if isinstance(error, PostgresError) else ""
