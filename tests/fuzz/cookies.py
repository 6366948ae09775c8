"""Any bytes in Cookie headers: nothing but an id that was signed comes out; judged by a plain reader."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256

from starlette_sessions_ext._http.cookie import MAX_CANDIDATES, Found, SessionCookie

NEW, OLD = "a new secret of the tests", "an old secret of the tests"
COOKIE = SessionCookie("session", [NEW, OLD])
IDS = ["a" * 32, "b2" * 16]


def _signed(session_id: str, secret: str, mark: str) -> str:
    """By hand: with the mark `.` as version 0.1 did it, otherwise bound to the name."""
    key = hmac.digest(secret.encode(), b"starlette_sessions_ext.cookie" + (b"" if mark == "." else b" session"), sha256)
    signed = session_id if mark == "." else session_id + mark
    return f"{session_id}{mark}{urlsafe_b64encode(hmac.digest(key, signed.encode(), sha256)).decode().rstrip('=')}"


SIGNED = {
    _signed(session_id, secret, mark): (session_id, secret is OLD or mark == ".")
    for session_id in IDS
    for secret in (NEW, OLD)
    for mark in (".", "-", "~")
}

SHORT = {bytes([0x80 + number]): value.encode() for number, value in enumerate(SIGNED)}
"""A byte for each value that verifies, as no fuzzer would find a signature."""

FRAGMENTS = [*SHORT, b"session=", b"; ", b";", b"\n", b" ", b"\t", b"=", b"other=1", b"session", b"."]
FRAGMENTS += [b"session=" + b"c" * 32 + b"." + b"A" * 43]


def cookies(data: bytes) -> None:
    """Each line is a header."""
    for byte, value in SHORT.items():
        data = data.replace(byte, value)
    headers = data.split(b"\n")
    assert COOKIE.find({"headers": [(b"cookie", header) for header in headers]}) == _reference(headers)


def _reference(headers: list[bytes]) -> Found:
    pairs = [pair.lstrip(b" \t") for header in headers for pair in header.split(b";")]
    values = [pair.removeprefix(b"session=") for pair in pairs if pair.startswith(b"session=")]
    candidates = [value.decode() for value in values if _is_well_formed(value)][:MAX_CANDIDATES]
    verified = [SIGNED[value] for value in candidates if value in SIGNED]
    if not verified:
        return Found()
    _, outdated = verified[0]
    ids = tuple(dict.fromkeys(session_id for session_id, _ in verified))
    return Found(ids[0], None if outdated else ids[0], ids[1:])


def _is_well_formed(value: bytes) -> bool:
    base32, base64url = (
        b"abcdefghijklmnopqrstuvwxyz234567",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    )
    session_id, mark, signature = value[:32], value[32:33], value[33:]
    return (
        (len(session_id), len(signature)) == (32, 43)
        and mark in (b".", b"-", b"~")
        and all(byte in base32 for byte in session_id)
        and all(byte in base64url for byte in signature)
    )
