"""Translate asyncmy's errors, by the server's numbers, into ours.

Ours have cause and remedy.
"""

from __future__ import annotations

import re
import socket
import ssl

from asyncmy.errors import MySQLError

from ...errors import SessionTooLarge, SessionUnavailable, StoreError, StoreFull, StoreTimeout, StoreUnavailable

DRIVER_ERRORS = (MySQLError, OSError)

SLOW = (
    "check that the server isn't overloaded or frozen, that host and port are its own,"
    " and that no firewall drops packets on the way"
)

_DUPLICATE = 1062
_DEADLOCK = 1213
_LOCKED = {1205, _DEADLOCK}
_TIMED_OUT = {1969, 3024}
_TOO_LARGE = {1153, 1406}
_FULL = {3, 1021, 1026, 1114, 1878, 3019}
_ENGINE_FAILED = 1030
_DISK_FULL = re.compile(r"error (28|122|135|136)\b")  # no space left, over quota, no more room in the table
_LOST = {2006, 2013, 1053, 1927, 4031}
_UNREACHABLE = 2003

_RIGHTS = (
    "the account lacks a right on the table or database."
    " GRANT SELECT, INSERT, UPDATE, DELETE on the session table to it"
)
_READ_ONLY = (
    "the server, or this session on it, is read-only, as replicas are."
    " Name the primary server, or SET GLOBAL read_only = 0"
)
_TLS = (
    "TLS failed. Check that the server offers TLS; add ?ssl_ca=/path/to/ca.pem for a private certificate"
    " authority, and name the host as the server's certificate does"
)
_CROWDED = "the server has too many connections. Raise max_connections there, or lower pool_size or the processes"
_LEFT = "the connection was lost. Check that the server runs, and its log for a crash"
_CAUSES = {
    1040: _CROWDED,
    1203: _CROWDED,
    1226: _CROWDED,
    1044: _RIGHTS,
    1142: _RIGHTS,
    1143: _RIGHTS,
    1045: "the server refuses the account or its password. Check both, percent-encoded in a URL;"
    " the account may also be bound to a host, or need TLS (?ssl=true in the URL)",
    1698: "the server refuses the account, which may log in without a password only. Give it a password",
    1049: "there is no such database. CREATE DATABASE it, or correct its name",
    1054: "the table lacks a column. Run: sessions-ext migrate mysql://...",
    1129: "the server blocks this machine after failed attempts. Run there: FLUSH HOSTS",
    1130: "the server takes no connection from this machine. CREATE USER with this machine as its host",
    1146: "there is no such table. Run: sessions-ext migrate mysql://...",
    1290: _READ_ONLY,
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    2026: _TLS,
    3159: "the server requires TLS. Add ?ssl=true or ?ssl_ca=/path/to/ca.pem to the URL",
    **dict.fromkeys(_LOST, _LEFT),
}


def is_duplicate(error: BaseException) -> bool:
    """Return whether the key is taken."""
    return _code(error) == _DUPLICATE


def is_deadlock(error: BaseException) -> bool:
    """Return whether the statement was the victim of a deadlock.

    The server has undone it, and it may well succeed at once.
    """
    return _code(error) == _DEADLOCK


def is_statement_error(error: BaseException) -> bool:
    """Return whether this is the server's complete answer to a statement.

    The connection is as good as before.
    """
    return is_duplicate(error) or _code(error) in _LOCKED


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the connection is lost.

    It broke, the server shut down, or an operator killed the connection.
    """
    return _code(error) in _LOST


def to_store_error(error: Exception, place: str) -> StoreError:
    """Return the error for a caller of the store.

    The server's words are left out: they may quote a row.
    """
    code = _code(error)
    if code in _LOCKED:
        return SessionUnavailable(
            f"{place} gave up waiting for a lock (error {code}), nothing was written:"
            " find the transaction that keeps the session's row, or the table, locked"
        )
    if code in _TIMED_OUT:
        return StoreTimeout(f"{place} gave up on a statement (error {code}): {SLOW}")
    if code in _TOO_LARGE:
        return SessionTooLarge(
            f"{place} refused the session as too large (error {code}), nothing was written:"
            " keep less in it, or make the column larger"
        )
    if code in _FULL or (code == _ENGINE_FAILED and _DISK_FULL.search(str(error))):
        return StoreFull(
            f"{place} has no room for what was to be written (error {code}):"
            " free space on its disk or in its tablespace; sessions-ext gc removes expired sessions"
        )
    cause = _unreachable(error) if code == _UNREACHABLE else _CAUSES.get(code)
    return StoreUnavailable(
        f"{place} can't serve sessions ({type(error).__name__} {code})" + (f": {cause}" if cause else "")
    )


def _unreachable(error: Exception) -> str:
    """Explain an unreachable server by the operating system's error.

    asyncmy keeps that as the cause.
    """
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return _TLS
    if isinstance(cause, socket.gaierror):
        return "its host name can't be resolved. Correct the host in the URL"
    reason = getattr(cause, "strerror", None) or "no address of the host answered"
    return f"{reason}. Check host and port, that the server runs, and that it listens on this address"


def _code(error: BaseException) -> int:
    code = error.args[0] if isinstance(error, MySQLError) and error.args else 0
    return code if isinstance(code, int) else 0
