"""What a response with a session tells caches, and whose Set-Cookie it carries: pure tables."""

from __future__ import annotations

import pytest

from starlette_sessions_ext._http.headers import (
    Headers,
    is_local,
    may_read_later,
    set_cookies,
    sets_cookie,
    vary_by_cookie,
)

JSON = (b"content-type", b"application/json")
OURS = b"session=new; path=/; httponly"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([(b"vary", b"Accept")], [(b"vary", b"Accept, Cookie")]),
        ([(b"Vary", b"Accept"), JSON], [(b"Vary", b"Accept, Cookie"), JSON]),
        ([(b"vary", b"Accept"), (b"vary", b"Origin")], [(b"vary", b"Accept, Cookie"), (b"vary", b"Origin")]),
        ([(b"vary", b"Cookies")], [(b"vary", b"Cookies, Cookie")]),
        ([(b"vary", b" ")], [(b"vary", b"Cookie")]),
    ],
)
def test_cookie_is_added_to_vary(before: Headers, after: Headers) -> None:
    headers = list(before)
    vary_by_cookie(headers)
    assert headers == after


@pytest.mark.parametrize(
    "headers",
    [
        [(b"vary", b"Cookie")],
        [(b"VARY", b"accept,COOKIE ,origin")],
        [(b"vary", b"*")],
        [(b"vary", b"Accept, *")],
        [(b"vary", b"Accept"), (b"vary", b"cookie")],
    ],
)
def test_vary_stays_as_it_is_where_it_says_so_already(headers: Headers) -> None:
    before = list(headers)
    vary_by_cookie(headers)
    assert headers == before


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ([], []),
        ([JSON], [JSON]),
        ([(b"set-cookie", b"other=1")], [(b"set-cookie", b"other=1")]),
        ([(b"set-cookie", b"session2=1")], [(b"set-cookie", b"session2=1")]),
        ([(b"set-cookie", b"session=old; path=/")], []),
        ([(b"set-cookie", b" session\t=old")], []),  # browsers cut the blanks around a name
        ([(b"set-cookie", b"session\x0b=1")], [(b"set-cookie", b"session\x0b=1")]),  # and nothing else
        ([(b"set-cookie", b"Xsession=1")], [(b"set-cookie", b"Xsession=1")]),
        ([(b"CDN-Cache-Control", b"max-age=60"), (b"surrogate-control", b"max-age=60")], []),
        ([(b"cdn", b"cdn-cache-control")], [(b"cdn", b"cdn-cache-control")]),
        ([(b"Set-Cookie", b"session=old"), (b"set-cookie", b"session=older"), JSON], [JSON]),
        ([(b"cache-control", b"public, max-age=60")], []),
        ([(b"Cache-Control", b"max-age=60")], []),
        ([(b"cache-control", b"no-cache")], []),
        ([(b"cache-control", b'private="x"')], []),
    ],
)
def test_our_cookie_goes_out_alone_under_its_name_and_is_stored_by_no_cache(before: Headers, kept: Headers) -> None:
    headers = list(before)
    set_cookies(headers, "session", [OURS])
    assert headers == [*kept, (b"set-cookie", OURS), (b"cache-control", b"no-store")]


@pytest.mark.parametrize("cache_control", [b"private", b"no-store", b"max-age=60, Private", b"no-store,max-age=0"])
def test_the_applications_own_private_or_no_store_is_left_alone(cache_control: bytes) -> None:
    headers = [(b"cache-control", cache_control), JSON]
    set_cookies(headers, "session", [OURS])
    assert headers == [(b"cache-control", cache_control), JSON, (b"set-cookie", OURS)]


@pytest.mark.parametrize(
    ("status", "headers", "later"),
    [
        (200, [], True),
        (206, [JSON], True),
        (205, [], True),
        (305, [], True),
        (200, [(b"Content-Length", b"2")], False),
        (204, [], False),
        (304, [], False),
        (103, [], False),
        (None, [], False),  # an accepted WebSocket
    ],
)
def test_a_body_without_length_may_still_be_made(status: int | None, headers: Headers, later: bool) -> None:
    message = {"type": "http.response.start"} if status is None else {"type": "http.response.start", "status": status}
    assert may_read_later(message, headers) is later


@pytest.mark.parametrize(
    ("headers", "sets"),
    [
        ([(b"set-cookie", b"session=1; path=/")], True),
        ([JSON, (b"Set-Cookie", b"session=")], True),
        ([(b"set-cookie", b"session2=1")], False),
        ([(b"cookie", b"session=1")], False),
        ([], False),
    ],
)
def test_the_applications_own_cookie_is_found(headers: Headers, sets: bool) -> None:
    assert sets_cookie(headers, b"session=") is sets


def test_the_list_is_changed_in_place() -> None:
    headers: Headers = [(b"set-cookie", b"session=old")]
    given = headers
    set_cookies(headers, "session", [OURS])
    assert given is headers
    assert (b"set-cookie", OURS) in given


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST:8000",
        b"shop.localhost:8000",
        b"127.0.0.1",
        b"127.0.0.1:8000",
        b"127.9.9.9",
        b"[::1]:80",
        b"testserver",
        b"test",
        b"shop.test:8000",
    ],
)
def test_this_machine_is_local(host: bytes) -> None:
    assert is_local([JSON, (b"host", host)])


@pytest.mark.parametrize(
    "host",
    [
        b"example.com",
        b"localhost.example.com",
        b"notlocalhost",
        b"10.0.0.1",
        b"127.0.0.1.example.com",
        b"test.com",
        b"my-testserver",
        b"latest",
        b"",
    ],
)
def test_any_other_host_isnt(host: bytes) -> None:
    assert not is_local([JSON, (b"host", host)])


def test_a_request_that_names_no_host_isnt_local() -> None:
    assert not is_local([(b"origin", b"localhost")])
