"""What visitors can send, and what of it reaches the store, the memory and the log: rows L1, L2, V2 and V3."""

from __future__ import annotations

import base64
import gc
import logging
import re
import secrets
import tracemalloc
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from starlette_sessions_ext import SessionEvent, SessionMiddleware, StarletteCookie
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext._http.cookie import MAX_CANDIDATES, SessionCookie
from starlette_sessions_ext._http.cookie_signer import Signature
from starlette_sessions_ext.legacy_cookies import find_legacy

from ..support.client import SECRET, Browser, make_app
from ..support.handlers import logout, put, renew, rotate, view
from ..support.store_wrappers import CountingStore
from .conftest import memory_only

pytestmark = pytest.mark.anyio

OTHERS_SECRET = "what another middleware had"


async def view_alone(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(dict(scope["session"]))(scope, receive, send)


HANDLERS = {"/": view, "/put": put, "/rotate": rotate, "/renew": renew, "/logout": logout}


def forged() -> bytes:
    """What looks like a cookie of ours: the id is new, and the signature anybody's."""
    signature = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=")
    return b"session=" + new_id().encode() + b"." + signature


@pytest.mark.slow
@memory_only
async def test_L1_ten_thousand_forged_cookies_reach_no_store_and_take_no_memory(store: CountingStore) -> None:
    middleware = SessionMiddleware(view_alone, SECRET, store=store, legacy_cookies=[StarletteCookie(OTHERS_SECRET)])
    sizes: list[int] = []

    async def ask(times: int) -> None:
        for _ in range(times):
            answer = await Browser(middleware).get("/", cookie_headers=[forged()])
            assert (answer.body, answer.set_cookies) == (b"{}", [])
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        await ask(100)
        await ask(10_000)
    finally:
        tracemalloc.stop()
    assert store.calls == []
    assert sizes[1] - sizes[0] < 10_000 * 10, "not even ten bytes of each"


def padded(size: int) -> list[bytes]:
    """Cookie headers of this many bytes, made of all that could cost a parser more than one pass."""
    pieces = [
        b"a=1",
        b"session=" + b"a" * 31,
        b"session=" + b"a" * 32 + b"." + b"b" * 42,
        b'session="' + b"\\134" * 8,
        b"session" + b" " * 40,
        b" \t" * 20 + b"x",
        b"session=session=session=",
        b";" * 20,
    ]
    header = b"; ".join(pieces)
    return [(header + b"; ") * (size // (len(header) + 2) + 1)]


class Counted(bytes):
    """A header that counts the bytes which are looked at, by searches and in slices."""

    looked_at = 0

    def rfind(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().rfind(sub, start, end)
        self.looked_at += (len(self) if end is None else end) - max(found, start)
        return found

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(sub, start, end)
        self.looked_at += (len(self) if found < 0 else found) - start
        return found

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        self.looked_at += len(part) if isinstance(part, bytes) else 1
        return part


def test_L2_the_work_for_a_cookie_header_grows_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte begins one match at most, of bounded length; what is looked at besides is no more than the header."""
    signatures = 0
    sign = Signature.of

    def counted(self: Signature, value: bytes) -> bytes:
        nonlocal signatures
        signatures += 1
        return sign(self, value)

    cookie = SessionCookie("session", [SECRET, OTHERS_SECRET])
    tree = re._parser.parse(cookie._pattern.pattern)  # type: ignore[attr-defined]
    assert "MAXREPEAT" not in str(tree), "nothing in it repeats without bound"
    monkeypatch.setattr(Signature, "of", counted)
    for size in (6554, 65536):
        for header in (*padded(size), b"; ".join(forged() for _ in range(size // 85)), forged() + b" " * size + b";"):
            value = Counted(header)
            signatures = 0
            assert cookie.find({"headers": [(b"cookie", value)]}).session_id is None
            assert value.looked_at <= 2 * len(value)
            assert signatures <= MAX_CANDIDATES * 2, "for each of the secrets"


@memory_only
async def test_L2_legacy_cookies_in_a_long_header_are_bounded_work() -> None:
    read: list[str] = []

    class Reader(StarletteCookie):
        async def read(self, value: str, now: float) -> Any:
            read.append(value)
            return await super().read(value, now)

    headers = [(b"cookie", header) for header in padded(64 * 1024)]
    assert await find_legacy([Reader(OTHERS_SECRET)], "session", headers, 0) is None
    assert len(read) == 8


async def test_V2_events_and_the_log_name_a_session_and_neither_id_nor_key(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "starlette_sessions_ext")
    events: list[SessionEvent] = []
    app = make_app(store, HANDLERS, on_event=events.append)
    keys = []
    for browser in (Browser(app), Browser(app)):
        for path in ("/put?name=ann", "/rotate", "/renew", "/put?name=bob", "/logout"):
            await browser.get(path)
            if browser.cookies:
                keys.append(key_of(browser.cookies["session"][:32]))
    digests = [event.key_digest for event in events]
    kinds = [event.kind.value for event in events]
    assert kinds == ["created", "rotated", "renewed", "destroyed"] * 2
    assert digests[2] == digests[3], "the same as long as it has the same id"
    assert len(set(digests)) == 6, "and another one for each id"
    names = [event.public_id for event in events]
    assert [len(set(names[:4])), len(set(names[4:])), len(set(names))] == [1, 1, 2], "one for each session"
    for name in [*digests, *names]:
        assert name is not None
        assert not any(name in key or key in name for key in keys)
    assert all(str(name) in caplog.text for name in names)


@memory_only
async def test_V3_no_byte_of_a_cookie_reaches_the_log(store: CountingStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = make_app(store, HANDLERS, legacy_cookies=[StarletteCookie(OTHERS_SECRET)])
    good = Browser(app)
    await good.get("/put?name=ann")
    other = Browser(app)
    await other.get("/put?name=bob")
    for noise in (b"canary\r\nset-cookie: a=1", b"canary\x1b[31m", b"canary\x00", b"canary\xe2\x80\xae"):
        cookies = [b"session=" + browser.cookies["session"].encode() for browser in (good, other)]
        for cookie in (b"session=" + noise, forged() + noise, b"; ".join([*cookies, b"session=" + noise]), noise):
            await Browser(app).get("/", cookie_headers=[cookie])
    assert "duplicate_cookies" in caplog.text
    assert "canary" not in caplog.text
    assert "\x1b" not in caplog.text
