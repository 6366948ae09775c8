"""Session data as the text of a data column. Pure.

ASCII data is stored as it is, so that it stays readable and no character set can damage it. Other
bytes are stored as base64 with a prefix: a text column would change them, or refuse them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from ...errors import SessionTooLarge

BASE64_PREFIX = b"base64:"


def to_text(data: bytes, room: int) -> str:
    """Encode data for a column of `room` bytes.

    Raises `SessionTooLarge` if it doesn't fit.
    """
    plain = data.isascii() and not data.startswith(BASE64_PREFIX)
    text = (data if plain else BASE64_PREFIX + b64encode(data)).decode("ascii")
    if len(text) > room:
        raise SessionTooLarge(
            f"the session takes {len(text)} bytes as text, the column {room}:"
            " keep less in it, or make the column larger"
        )
    return text


def from_text(text: bytes) -> bytes:
    if not text.startswith(BASE64_PREFIX):
        return text
    try:
        return b64decode(text[len(BASE64_PREFIX) :], validate=True)
    except ValueError:  # foreign text, which only begins as ours does
        return text
