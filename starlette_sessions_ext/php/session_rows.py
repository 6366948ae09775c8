"""Checks of what is stored for a session of PHP."""

from __future__ import annotations

from ..stores.base import check_row
from .session_ids import check_session_id

_ANY_KEY = "a" * 32
"""Keys of other stores have another form than PHP's ids."""


def check_session_row(session_id: str, data: bytes, expires_at: int, max_data_bytes: int | None) -> None:
    """Refuse a row that can't be stored as given; see `check_row`."""
    check_session_id(session_id)
    check_row(_ANY_KEY, data, expires_at, max_data_bytes)
