"""Cookies that an earlier configuration, or an earlier version, left in the browser."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import MemoryStore
from starlette_sessions_ext._core.ids import key_of
from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext._http.stray_cookies import MAX_REMOVALS, removals
from starlette_sessions_ext.testing import FakeClock

from ..support.client import SECRET, Answer, Browser, make_app
from ..support.handlers import logout, put, view
from ..support.store_wrappers import CountingStore, DownStore

pytestmark = pytest.mark.anyio


async def sign_in(request: Request) -> Any:
    request.state.session["user"] = "ann"
    request.state.session.rotate()


HANDLERS = {"/put": put, "/": view, "/sign-in": sign_in, "/logout": logout}


@pytest.fixture
def store(clock: FakeClock) -> CountingStore:
    return CountingStore(MemoryStore(clock=clock))


class RealBrowser:
    """Keeps cookies by name, domain and path, and sends the older first (RFC 6265bis, 5.8.3)."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.cookies: dict[tuple[str, str, str], str] = {}

    async def get(self, path: str) -> Answer:
        header = "; ".join(f"session={value}" for value in self.cookies.values()).encode()
        answer = await Browser(self.app).get(path, cookie_headers=[header])
        for line in answer.set_cookies:
            pair, *attributes = [part.strip() for part in line.split(";")]
            names = {name.lower(): value for name, _, value in (one.partition("=") for one in attributes)}
            place = (pair.partition("=")[0], names.get("domain", ""), names["path"])
            if "expires" in names:
                self.cookies.pop(place, None)
            else:
                self.cookies[place] = pair.partition("=")[2]
        return answer

    async def session(self) -> Any:
        return (await self.get("/")).json()


# Another domain, path or name


@pytest.fixture
async def moved(store: CountingStore) -> RealBrowser:
    """A browser whose session began before the domain was configured."""
    browser = RealBrowser(make_app(store, HANDLERS))
    await browser.get("/put?cart=1")
    browser.app = make_app(store, HANDLERS, domain="testserver")
    browser.cookies["session", "testserver", "/"] = SessionCookie("session", SECRET).sign("a" * 32)
    return browser


async def test_of_two_cookies_the_one_with_a_session_is_taken(moved: RealBrowser) -> None:
    moved.cookies = dict(reversed(moved.cookies.items()))
    assert await moved.session() == {"cart": "1"}


@pytest.mark.parametrize("degrades", [False, True])
async def test_of_two_cookies_one_whose_row_cant_be_read_is_passed_over(
    clock: FakeClock, store: CountingStore, degrades: bool
) -> None:
    """Where it is the store that can't be read, no other cookie is tried."""
    down = DownStore(store)
    options: dict[str, Any] = {"on_store_error": "anonymous"} if degrades else {}
    browser = RealBrowser(make_app(down, HANDLERS, clock=clock, **options))
    await browser.get("/put?cart=1")
    [value] = browser.cookies.values()
    corrupt = "b" * 32
    await store.create(key_of(corrupt), b"no session", int(clock()) + 60)
    browser.cookies = {
        ("session", "", "/a"): SessionCookie("session", SECRET).sign(corrupt),
        ("session", "", "/"): value,
    }
    assert await browser.session() == {"cart": "1"}
    down.down = True
    answer = await browser.get("/")
    assert answer.status == (200 if degrades else 503)
    assert not degrades or answer.json() == {}


async def test_a_cookie_of_another_domain_is_removed_and_the_session_kept(moved: RealBrowser) -> None:
    assert await moved.session() == {"cart": "1"}
    assert list(moved.cookies) == [("session", "testserver", "/")]
    assert await moved.session() == {"cart": "1"}


async def test_a_sign_in_lasts_beside_an_old_cookie(moved: RealBrowser) -> None:
    moved.cookies["session", "", "/elsewhere"] = moved.cookies["session", "", "/"]  # one that isn't removed
    await moved.get("/sign-in")
    assert await moved.session() == {"cart": "1", "user": "ann"}


async def test_a_sign_out_ends_the_sessions_of_all_cookies(store: CountingStore, moved: RealBrowser) -> None:
    other = RealBrowser(moved.app)
    await other.get("/put?user=ann")
    [moved.cookies["session", "testserver", "/"]] = other.cookies.values()
    await moved.get("/logout")
    assert moved.cookies == {}
    assert await other.session() == {}
    assert isinstance(store.store, MemoryStore)
    assert store.store._rows == {}


def test_removals_name_the_places_that_a_browser_may_have_a_cookie_from() -> None:
    def places(host: bytes, url: str, **options: Any) -> list[str]:
        scope = {"headers": [(b"host", host)], "path": url}
        lines = removals(SessionCookie("session", SECRET, **options), scope, secure=False)
        assert all(line.startswith(b"session=; ") for line in lines)
        parts = [line.decode().split("; ") for line in lines]
        return [" ".join(part for part in line if part.startswith(("path", "domain"))) for line in parts]

    assert places(b"app.example.com:8000", "/") == ["path=/ domain=app.example.com", "path=/ domain=example.com"]
    assert places(b"app.example.com", "/shop/cart", domain="example.com") == [
        "path=/",
        "path=/ domain=app.example.com",
        "path=/shop domain=example.com",
        "path=/shop/cart domain=example.com",
    ]
    assert places(b"localhost", "/shop/", path="/shop") == ["path=/"]
    assert places(b"127.0.0.1", "/a;b") == []
    assert places(b"ex\xe4mple.com", "/") == []
    assert len(places(b"a.b.c.d.e.f", "/1/2/3/4/5")) == MAX_REMOVALS


# The name


async def test_a_cookie_of_one_name_opens_nothing_under_another(store: CountingStore) -> None:
    shop, admin = (make_app(store, HANDLERS, session_cookie=name) for name in ("shop", "admin"))
    browser = Browser(shop)
    await browser.get("/put?user=ann")
    browser.app = admin
    browser.cookies["admin"] = browser.cookies["shop"]
    store.calls.clear()
    assert (await browser.get("/")).json() == {}
    assert store.calls == []


# Secure


async def test_a_session_begun_on_http_gets_a_secure_cookie_on_https(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?user=ann")
    browser.scheme = "https"
    (line,) = (await browser.get("/")).set_cookies
    assert "; secure" in line
    assert (await browser.get("/put?user=bob")).set_cookies == []
    assert (await browser.get("/")).json() == {"user": "bob"}


# Earlier versions: what they stored and sent is still read


BEGUN = 1795884836
PLAIN = "6ta7g5unrnmgakemeehcdhwrc55y44yf.DEzflmNJiDOCKmxcEybGEXfw2DsH2p4Gur27MnOBiYQ"
WITH_LIFETIME = "5ke3mmsvpuapi4dm7sr5gvc4az5xebqu.0jdCEwqWMxcNQLBCeYYmF5y0UdtWPGzmfAoj8Qk6nBA"
RENEWED_FROM = "n3gdnmpdslbfnw3xmr24lk4l6hgzetje.oqyZgl5VI7v6Ma4-IsGITCSJSXMKkxnjE2x9wtGFp0A"
RENEWED = "zq3rxzm2esuqf7r43kopjcehlggpv3kd.JN2YUy7xs1ZYBz_9Lf2kihEqUBCXTpdwF8x9swDf9UQ"
ROWS = [
    (b's1 wddnqbflx3k7tfam5rjqagmndohwc6bq 1795884836 1795884836 - d9959e453a165ebf\n{"user":"42"}', 1797094436),
    (b's1 y2xvmg5nrejb63lxz6v4733jjxuw2wu2 1795884836 1795884836 3600 97221e6f00679065\n{"a":"1"}', 1795888436),
    (b's1 vskpxhjezx6e7j4wcmc4eb3yoxzp7xm3 1795884836 1795884836 - 1105ab2fe14d188b\n{"user":"42"}', 1797094436),
    (
        b"a1 3a3prvqodfyakibxlb455haxb2rusgvw 1795884866 0abe0c311e63ef6c vskpxhjezx6e7j4wcmc4eb3yoxzp7xm3\n",
        1795888436,
    ),
]


@pytest.mark.parametrize(
    ("cookie", "data"),
    [(PLAIN, {"user": "42"}), (WITH_LIFETIME, {"a": "1"}), (RENEWED_FROM, {"user": "42"}), (RENEWED, {"user": "42"})],
    ids=["plain", "lifetime", "alias", "renewed"],
)
async def test_rows_and_cookies_of_version_0_1_are_read_and_sent_again(
    store: CountingStore, clock: FakeClock, cookie: str, data: dict[str, str]
) -> None:
    clock.now = BEGUN
    for row, expires_at in ROWS:
        await store.create(row[3:35].decode(), row, expires_at)
    browser = Browser(make_app(store, HANDLERS, clock=clock), cookies={"session": cookie})
    answer = await browser.get("/")
    assert answer.json() == data
    assert len(answer.set_cookies) == 1
    assert browser.cookies["session"][32] == "-"
    assert (await browser.get("/")).json() == data
    assert (await browser.get("/put?b=2")).set_cookies == []
    assert (await browser.get("/")).json() == {**data, "b": "2"}
