"""Session data for what holds text alone."""

from __future__ import annotations

from ..errors import NotSerializable


def as_text(data: bytes) -> str:
    """Return the data as text. Raise `NotSerializable` for bytes that aren't UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotSerializable(
            "the session holds bytes that aren't UTF-8, and the store keeps text: encode them, such as in base64"
        ) from None
