"""Any bytes in a store's row: the record of this key, or `CorruptRecord`; judged by a plain reader."""

from __future__ import annotations

from starlette_sessions_ext.errors import CorruptRecord
from starlette_sessions_ext.record import Record, decode

KEY, OTHER, NONCE = "a" * 32, "b" * 32, "0123456789abcdef"

SHORT = {b"\x80": KEY.encode(), b"\x81": OTHER.encode(), b"\x82": NONCE.encode()}
"""A byte for what no fuzzer would find."""

FRAGMENTS = [
    *SHORT,
    b"s1 ",
    b" ",
    b"-",
    b"0",
    b"17",
    b"9" * 12,
    b"\n",
    b"s1 \x80 17 - \x82\n",
    b"s1 \x80 1 60 \x82\n{}",
]


def records(data: bytes) -> None:
    for byte, value in SHORT.items():
        data = data.replace(byte, value)
    try:
        record = decode(data, KEY)
    except CorruptRecord:
        assert _reference(data) is None
        return
    assert record == _reference(data)
    assert decode(record.encode(NONCE), KEY) == record


def _reference(data: bytes) -> Record | None:
    header, newline, body = data.partition(b"\n")
    fields = header.split(b" ")
    if not newline or len(fields) != 5:
        return None
    mark, key, created_at, lifetime, nonce = fields
    if (mark, key) != (b"s1", KEY.encode()) or not _is_number(created_at):
        return None
    if len(nonce) != 16 or any(byte not in b"0123456789abcdef" for byte in nonce):
        return None
    if lifetime != b"-" and not _is_number(lifetime):
        return None
    return Record(KEY, int(created_at), None if lifetime == b"-" else int(lifetime), body)


def _is_number(field: bytes) -> bool:
    return 1 <= len(field) <= 12 and all(byte in b"0123456789" for byte in field)
