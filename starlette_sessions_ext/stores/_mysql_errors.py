"""What asyncmy's errors mean to a store, by the server's numbers for them."""

from __future__ import annotations

from asyncmy.errors import MySQLError

from ..errors import SessionTooLarge, StoreError, StoreTimeout, StoreUnavailable

DRIVER_ERRORS = (MySQLError, OSError)

_DUPLICATE = 1062
_LOCKED = {1205, 1213}
_TIMED_OUT = {*_LOCKED, 1969, 3024}
_TOO_LARGE = {1153, 1406}
_LOST = {2006, 2013, 1053, 1927, 4031}


def is_duplicate(error: BaseException) -> bool:
    """The key is taken."""
    return _code(error) == _DUPLICATE


def is_undone(error: BaseException) -> bool:
    """Waited too long for a row, or the victim of a deadlock: the server has undone the statement."""
    return _code(error) in _LOCKED


def is_answer(error: BaseException) -> bool:
    """The server's complete answer to a statement: the connection is as good as before."""
    return is_duplicate(error) or is_undone(error)


def is_lost(error: BaseException) -> bool:
    """The connection broke, the server shut down, or an operator killed the connection."""
    return _code(error) in _LOST


def as_ours(error: Exception, place: str) -> StoreError:
    """What a caller of the store is told. The server's words are left out: they may quote a row."""
    code = _code(error)
    if code in _TIMED_OUT:
        return StoreTimeout(f"{place} gave up waiting for a lock (error {code})")
    if code in _TOO_LARGE:
        return SessionTooLarge(
            f"{place} refused the session as too large (error {code}), nothing was written:"
            " keep less in it, or make the column larger"
        )
    return StoreUnavailable(f"{place} can't serve sessions ({type(error).__name__} {code})")


def _code(error: BaseException) -> int:
    code = error.args[0] if isinstance(error, MySQLError) and error.args else 0
    return code if isinstance(code, int) else 0
