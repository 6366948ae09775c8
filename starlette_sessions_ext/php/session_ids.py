"""Session ids as PHP makes and takes them."""

from __future__ import annotations

import re
import secrets

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-,"
"""php-src ext/session/session.c, `hexconvtab`: the first 16, 32 or 64 of these for 4, 5 or 6 bits."""

_ID = re.compile(r"[A-Za-z0-9,-]{22,256}")


def make_session_id(length: int, bits_per_character: int) -> str:
    """Return a new id of `length` characters, from the system's random source."""
    alphabet = _ALPHABET[: 2**bits_per_character]
    return "".join(secrets.choice(alphabet) for _ in range(length))


def is_session_id(text: str) -> bool:
    """Return whether PHP may have made this id. PHP takes nearly any text for one."""
    return _ID.fullmatch(text) is not None


def check_session_id(key: str) -> None:
    """Refuse what isn't an id.

    Raises TypeError for another type, ValueError for another form.
    """
    if type(key) is not str:
        raise TypeError("the id of a PHP session is a str")
    if not is_session_id(key):
        raise ValueError("the id of a PHP session is 22 to 256 characters of A-Z, a-z, 0-9, comma and hyphen")
