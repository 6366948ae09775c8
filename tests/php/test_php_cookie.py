"""The cookie of PHP's sessions, read and written as PHP does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError
from starlette_sessions_ext._core.plan import ClearCookie, SetCookie
from starlette_sessions_ext.php import PHPSettings
from starlette_sessions_ext.php.cookie import PHPCookie
from starlette_sessions_ext.php.session_ids import is_session_id, make_session_id

ID = "0cC,5LPJ-" + "x" * 17
NOW = 1_800_000_000


def cookie(**settings: Any) -> PHPCookie:
    return PHPCookie(PHPSettings(**settings), lambda: NOW)


@pytest.mark.parametrize(
    "headers",
    [
        [f"PHPSESSID={ID}"],
        [f"PHPSESSID={ID.replace(',', '%2C')}"],
        [f"other=1; PHPSESSID={ID};"],
        [f"other=1;PHPSESSID={ID};last=2"],
        [f"PHPSESSID={ID}; PHPSESSID={'y' * 26}"],
        ["other=1", f"PHPSESSID={ID}"],
        [f"XPHPSESSID={'y' * 26}; PHPSESSID={ID}"],
    ],
)
def test_the_first_cookie_of_the_name_is_the_session_s(headers: list[str]) -> None:
    scope = {"headers": [(b"host", b"localhost"), *((b"cookie", header.encode()) for header in headers)]}
    found = cookie().find(scope)
    assert (found.session_id, found.client_id, found.others) == (ID, ID, ())


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"PHPSESSID=",
        b"PHPSESSID=short",
        b"PHPSESSID=" + b"x" * 257,
        b"PHPSESSID=../../etc/passwd/aaaaaaaaaa",
        b"PHPSESSID=" + b"x" * 26 + b"%00",
        b"PHPSESSID=" + b"x" * 26 + b"%0A",
        b"PHPSESSID=" + b"\xe9" * 26,
        b"PHPSESSID=short; PHPSESSID=" + b"x" * 26,
        b"phpsessid=" + b"x" * 26,
    ],
)
def test_what_is_no_id_of_php_is_nothing(header: bytes) -> None:
    assert cookie().find({"headers": [(b"cookie", header)]}).session_id is None


def test_an_id_is_sent_percent_encoded_with_the_attributes_of_php() -> None:
    sent = cookie().render(SetCookie(ID, None), secure=False)
    assert sent == b"PHPSESSID=0cC%2C5LPJ-" + b"x" * 17 + b"; path=/"
    full = cookie(
        name="shop",
        cookie_path="/shop",
        cookie_domain="example.org",
        cookie_secure=True,
        cookie_httponly=True,
        cookie_samesite="Lax",
    )
    assert full.is_secure("http")
    attributes = b"; path=/shop; domain=example.org; secure; HttpOnly; SameSite=Lax"
    assert full.render(SetCookie("a" * 26, 600), secure=True) == (
        b"shop=" + b"a" * 26 + b"; expires=Fri, 15 Jan 2027 08:10:00 GMT; Max-Age=600" + attributes
    )
    assert full.render(ClearCookie(), secure=True) == (
        b"shop=deleted; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0" + attributes
    )


def test_a_cookie_that_browsers_drop_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="https_only"):
        cookie(cookie_samesite="None")
    with pytest.raises(ConfigurationError, match="path"):
        cookie(cookie_path="shop;x")


def test_it_has_no_signer() -> None:
    with pytest.raises(ConfigurationError, match="isn't signed"):
        _ = cookie().signer


@pytest.mark.parametrize(("bits", "alphabet"), [(4, "0-9a-f"), (5, "0-9a-v"), (6, "0-9a-zA-Z,-")])
@pytest.mark.parametrize("length", [22, 26, 32, 256])
def test_new_ids_are_like_those_of_php(bits: int, alphabet: str, length: int) -> None:
    made = {make_session_id(length, bits) for _ in range(200)}
    assert len(made) == 200
    for one in made:
        assert is_session_id(one)
        assert len(one) == length
    pattern = f"[{alphabet}]+"
    assert all(re.fullmatch(pattern, one) for one in made)
    assert len(set("".join(made))) == 2**bits
