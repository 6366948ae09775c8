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


def refuse_wide(text: str) -> None:
    """Raise `NotSerializable` for text with a character that MySQL's utf8mb3 hasn't."""
    if max(text, default="") > "\uffff":
        raise NotSerializable(
            "the session holds a character above U+FFFF, such as an emoji, and utf8mb3 has none: PHP would destroy "
            "the session. Use utf8mb4 for the column and for PHP's connection, or leave the character out"
        )
