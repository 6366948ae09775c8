"""The stored form of a session: the record, and the alias after a renewal. Pure.

A stored record is one header line and the serialized data:

    s2 <key> <created_at> <issued_at> <lifetime> <public id> <signed_in_ms> <details> <nonce>\\n<body>

`created_at` is when the session began and `issued_at` when it got its present id, in unix seconds;
`lifetime` is in seconds, or `-` where the middleware's settings hold. The public id names the session
from its beginning to its end, and gives no access. `signed_in_ms` is when its user signed in, in unix
milliseconds, so that sign-ins of one second have an order. `details` is what the application keeps of
the sign-in (JSON in base64url). `-` stands for nothing. `s1` lacks the last three: version 0.1 made
such records.

The record names its own key: bytes that end up under another session's key, by whatever fault of a
server, a pool or a backup, are refused instead of shown to another user. The nonce is new for every
write, so that a writer whose answer was lost can tell its own bytes from equal data that a parallel
request wrote.

Where a session was renewed its old row has become an alias, which leads to the new one:

    a2 <key> <made_at> <until> <nonce> <key of the new id>\\n

`made_at` and `until` (unix seconds) stand in the bytes, where nothing that moves a row's expiry can
move them. `a1` lacks `made_at`: version 0.1 made such aliases, and those of legacy cookies are such.
The new id itself isn't there: it follows from the old id, the nonce and the secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, final

from ..errors import CorruptRecord
from .ids import digest_of

HEADER_CACHE_SIZE = 2048
"""How many header lines are known again without being read: a page is many requests."""

_HEADER = re.compile(
    rb"s([12]) ([a-z2-7]{32}) ([0-9]{1,12}) ([0-9]{1,12}) ([0-9]{1,12}|-)"
    rb"(?: ([0-9a-f]{16}) ([0-9]{1,15}|-) ([A-Za-z0-9_-]{1,4000}))? "
)
_ALIAS = re.compile(
    rb"(?:a1 ([a-z2-7]{32})|a2 ([a-z2-7]{32}) ([0-9]{1,12})) ([0-9]{1,12}) ([0-9a-f]{16}) ([a-z2-7]{32})\n"
)
_HEX_DIGITS = b"0123456789abcdef"
_NO_RECORD = "a stored row isn't a session record; it was left as it is"
_FOREIGN = "a stored record belongs to another session; it was left as it is"


class Header(NamedTuple):
    """The header of a record. Times are unix seconds, `lifetime` is in seconds.

    `lifetime` was set by `Session.set_lifetime`. `signed_in_ms` (unix milliseconds) and `details`
    (base64url) are of the sign-in of the session's user, None where there is none.
    """

    key: str
    created_at: int
    issued_at: int
    lifetime: int | None
    public_id: str
    signed_in_ms: int | None = None
    details: str | None = None

    def __repr__(self) -> str:
        return f"Header(created_at={self.created_at}, issued_at={self.issued_at}, lifetime={self.lifetime})"

    def encode(self, nonce: str, body: bytes) -> bytes:
        """Return the bytes to store.

        `nonce` is 16 hex digits, new for every write.
        """
        return f"{_line(self)}{nonce}\n".encode() + body


@final
@dataclass(frozen=True, slots=True)
class Alias:
    """The row under an old id, which leads to the session under the key `target`.

    It does so until `until`. `made_at` is when it was made, where that is known. Both are unix seconds.
    """

    key: str = field(repr=False)
    until: int
    nonce: str = field(repr=False)
    target: str = field(repr=False)
    made_at: int | None = None

    def encode(self) -> bytes:
        """Return the bytes to store."""
        kind = f"a1 {self.key}" if self.made_at is None else f"a2 {self.key} {self.made_at}"
        return f"{kind} {self.until} {self.nonce} {self.target}\n".encode()


def decode(raw: bytes, key: str) -> tuple[Header, bytes] | Alias:
    """Read what is stored under `key`: a header and a body, or an alias.

    Raises `CorruptRecord` if it is anything else.
    """
    line, newline, body = raw.partition(b"\n")
    if not newline or line[-16:].strip(_HEX_DIGITS):  # the nonce, which is another one for each write
        return _decode_alias(raw, key)
    try:
        header = _read_header(line[:-16])
    except CorruptRecord:
        return _decode_alias(raw, key)
    if header.key != key:
        raise CorruptRecord(_FOREIGN)
    return header, body


@lru_cache(HEADER_CACHE_SIZE)
def _line(header: Header) -> str:
    """Return a header's line without its nonce."""
    fields = ("-" if field is None else str(field) for field in header)
    return f"s2 {' '.join(fields)} "


@lru_cache(HEADER_CACHE_SIZE)
def _read_header(line: bytes) -> Header:
    """Read a header's line without its nonce.

    Raises `CorruptRecord`, which isn't cached.
    """
    match = _HEADER.fullmatch(line)
    if match is None or (match[1] == b"1") is not (match[6] is None):
        raise CorruptRecord(_NO_RECORD)
    key, created_at, issued_at, lifetime, public_id, signed_in_ms, details = match.groups()[1:]
    return Header(
        key.decode(),
        int(created_at),
        int(issued_at),
        None if lifetime == b"-" else int(lifetime),
        digest_of(key.decode()) if public_id is None else public_id.decode(),
        None if signed_in_ms in (None, b"-") else int(signed_in_ms),
        None if details in (None, b"-") else details.decode(),
    )


def _decode_alias(raw: bytes, key: str) -> Alias:
    match = _ALIAS.fullmatch(raw)
    if match is None:
        raise CorruptRecord(_NO_RECORD)
    old_key, new_key, made_at, until, nonce, target = match.groups()
    if (old_key or new_key).decode() != key:
        raise CorruptRecord(_FOREIGN)
    return Alias(key, int(until), nonce.decode(), target.decode(), None if made_at is None else int(made_at))
