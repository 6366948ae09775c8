"""The signed value of the cookie: what verifies, and what it says."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext._http.cookie_signer import LENGTH, CookieSigner, Forged, Verified

SECRET, OLD_SECRET = "a secret of 16 bytes or more", "another secret of 16 bytes"
ID = "abcdefghijklmnopqrstuvwxyz234567"
SIGNER = CookieSigner("session", [SECRET, OLD_SECRET])


def unbound(session_id: str, secret: str = SECRET) -> bytes:
    """A value as version 0.1 made it: signed with a key that isn't bound to the cookie's name."""
    key = hmac.digest(secret.encode(), b"starlette_sessions_ext.cookie", hashlib.sha256)
    signature = base64.urlsafe_b64encode(hmac.digest(key, session_id.encode(), hashlib.sha256)).rstrip(b"=")
    return session_id.encode() + b"." + signature


@pytest.mark.parametrize("secure", [False, True])
def test_a_value_says_how_it_was_sent(secure: bool) -> None:
    value = SIGNER.sign(ID, secure=secure).encode()
    assert len(value) == LENGTH
    assert SIGNER.verify(value) == Verified(ID, is_current=True, was_secure=secure)


@pytest.mark.parametrize("secure", [False, True])
def test_a_value_of_an_old_secret_is_no_longer_current(secure: bool) -> None:
    value = CookieSigner("session", OLD_SECRET).sign(ID, secure=secure).encode()
    assert SIGNER.verify(value) == Verified(ID, is_current=False, was_secure=secure)


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_a_value_of_version_0_1_verifies_and_is_sent_again(secret: str) -> None:
    assert SIGNER.verify(unbound(ID, secret)) == Verified(ID, is_current=False, was_secure=False)


def test_what_is_signed_is_what_itsdangerous_signs() -> None:
    value = SIGNER.sign(ID, secure=True).encode()
    assert SIGNER.itsdangerous.get_signature(value[:33]) == value[33:]


@pytest.mark.parametrize(
    "value",
    [
        CookieSigner("other", SECRET).sign(ID, secure=True).encode(),
        CookieSigner("session", "a third secret of 16 bytes").sign(ID, secure=True).encode(),
        unbound(ID, "a third secret of 16 bytes"),
        SIGNER.sign(ID, secure=True).replace("~", "-").encode(),
        SIGNER.sign(ID, secure=False).replace("-", "~", 1).encode(),
        unbound(ID).replace(b".", b"-"),
        SIGNER.sign(ID, secure=True).replace("~", ".").encode(),
        SIGNER.sign(ID.upper(), secure=True).encode(),
        SIGNER.sign(ID, secure=True).encode() + b"=",
        b"",
    ],
    ids=range(10),
)
def test_anything_else_is_forged(value: bytes) -> None:
    with pytest.raises(Forged):
        SIGNER.verify(value)


def test_no_changed_character_verifies() -> None:
    for value in (SIGNER.sign(ID, secure=True).encode(), unbound(ID)):
        for place, byte in enumerate(value):
            for other in (byte ^ 1, byte ^ 2, byte ^ 32):
                with pytest.raises(Forged):
                    SIGNER.verify(value[:place] + bytes([other]) + value[place + 1 :])


def test_a_repr_holds_no_id() -> None:
    assert repr(SIGNER.verify(SIGNER.sign(ID, secure=True).encode())) == "Verified()"


def test_a_forged_value_opens_nothing_whatever_follows_it() -> None:
    cookie = SessionCookie("session", SECRET)
    value = cookie.sign(ID).encode()
    for rest in (b"", b"; theme=dark"):
        headers = {"headers": [(b"cookie", b"session=" + value[:-1] + bytes([value[-1] ^ 1]) + rest)]}
        assert cookie.find(headers).session_id is None
        assert cookie.find({"headers": [(b"cookie", b"session=" + value + rest)]}).session_id == ID
