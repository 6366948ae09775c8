"""Any bytes in a store's row: the record or alias of this key, or `CorruptRecord`; judged by a plain reader."""

from __future__ import annotations

from starlette_sessions_ext._core.ids import digest_of
from starlette_sessions_ext._core.record import Alias, Header, decode
from starlette_sessions_ext.errors import CorruptRecord

KEY, OTHER, NONCE = "a" * 32, "b" * 32, "0123456789abcdef"

SHORT = {b"\x80": KEY.encode(), b"\x81": OTHER.encode(), b"\x82": NONCE.encode()}
"""A byte for what no fuzzer would find."""

FRAGMENTS = [
    *SHORT,
    b"s1 ",
    b"a1 ",
    b" ",
    b"-",
    b"0",
    b"17",
    b"9" * 12,
    b"\n",
    b"s1 \x80 17 18 - \x82\n",
    b"s1 \x80 1 2 60 \x82\n{}",
    b"a1 \x80 17 \x82 \x81\n",
    b"a2 ",
    b"a2 \x80 7 17 \x82 \x81\n",
    b"s2 \x80 17 18 - \x82 - - \x82\n",
    b"s2 \x80 17 18 60 \x82 19 e30 \x82\n{}",
]


def records(data: bytes) -> None:
    for byte, value in SHORT.items():
        data = data.replace(byte, value)
    try:
        found = decode(data, KEY)
    except CorruptRecord:
        assert _reference(data) is None
        return
    assert found == _reference(data)
    assert decode(found.encode() if isinstance(found, Alias) else found[0].encode(NONCE, found[1]), KEY) == found


def _reference(data: bytes) -> tuple[Header, bytes] | Alias | None:
    header, newline, body = data.partition(b"\n")
    if not newline:
        return None
    match header.split(b" "):
        case [b"s1", key, created_at, issued_at, lifetime, nonce]:
            numbers = [created_at, issued_at, *([] if lifetime == b"-" else [lifetime])]
            if key != KEY.encode() or not all(map(_is_number, numbers)) or not _is_nonce(nonce):
                return None
            public_id = digest_of(KEY)
            read = Header(KEY, int(created_at), int(issued_at), _optional(lifetime), public_id)
            return read, body
        case [b"s2", key, created_at, issued_at, lifetime, public_id, signed_in_ms, details, nonce]:
            optional = [] if lifetime == b"-" else [lifetime]
            if key != KEY.encode() or not all(map(_is_number, [created_at, issued_at, *optional])):
                return None
            if not _is_nonce(public_id) or not _is_nonce(nonce) or not _is_base64url(details):
                return None
            if signed_in_ms != b"-" and not _is_number(signed_in_ms, 15):
                return None
            times = int(created_at), int(issued_at), _optional(lifetime)
            text = None if details == b"-" else details.decode()
            return Header(KEY, *times, public_id.decode(), _optional(signed_in_ms), text), body
        case [b"a1", key, until, nonce, target]:
            if key != KEY.encode() or not _is_number(until) or not _is_nonce(nonce) or body or not _is_key(target):
                return None
            return Alias(KEY, int(until), nonce.decode(), target.decode())
        case [b"a2", key, made_at, until, nonce, target]:
            if key != KEY.encode() or not _is_number(until) or not _is_nonce(nonce) or body or not _is_key(target):
                return None
            if not _is_number(made_at):
                return None
            return Alias(KEY, int(until), nonce.decode(), target.decode(), int(made_at))
        case _:
            return None


def _optional(field: bytes) -> int | None:
    return None if field == b"-" else int(field)


def _is_base64url(field: bytes) -> bool:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return 1 <= len(field) <= 4000 and all(byte in alphabet for byte in field)


def _is_nonce(field: bytes) -> bool:
    return len(field) == 16 and all(byte in b"0123456789abcdef" for byte in field)


def _is_key(field: bytes) -> bool:
    return len(field) == 32 and all(byte in b"abcdefghijklmnopqrstuvwxyz234567" for byte in field)


def _is_number(field: bytes, digits: int = 12) -> bool:
    return 1 <= len(field) <= digits and all(byte in b"0123456789" for byte in field)
