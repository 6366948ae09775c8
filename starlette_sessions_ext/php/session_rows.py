"""Checks of what is stored for a session of PHP."""

from __future__ import annotations

from ..errors import ConfigurationError, CorruptRecord, SessionTooLarge
from ..stores.base import check_row
from .session_ids import check_session_id

_ANY_KEY = "a" * 32
"""Keys of other stores have another form than PHP's ids."""


def check_session_row(session_id: str, data: bytes, expires_at: int, max_data_bytes: int | None) -> None:
    """Refuse a row that can't be stored as given; see `check_row`."""
    check_session_id(session_id)
    check_row(_ANY_KEY, data, expires_at, max_data_bytes)


def check_id_fits(session_id: str, characters: int) -> None:
    """Refuse a new id that the column would cut, by `ConfigurationError`."""
    if len(session_id) > characters:
        raise ConfigurationError(
            f"the ids of PHP's table have {characters} characters at most, and a new one {len(session_id)}: "
            "make the column longer, or sid_length smaller"
        )


def check_data_fit(data: bytes, max_bytes: int) -> None:
    """Refuse data that the column would cut, by `SessionTooLarge`."""
    if len(data) > max_bytes:
        raise SessionTooLarge(
            f"the session takes {len(data)} bytes, the column {max_bytes}: keep less in it, or make the "
            "column a MEDIUMTEXT"
        )


def check_size_read(data: bytes, max_data_bytes: int | None) -> None:
    """Refuse a row of more bytes than the application wants to read.

    Raises `CorruptRecord` for such a row.
    """
    if max_data_bytes is not None and len(data) > max_data_bytes:
        raise CorruptRecord(f"a session of PHP has {len(data)} bytes: raise max_data_bytes. It was left as it is.")
