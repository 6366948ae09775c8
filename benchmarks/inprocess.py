"""Microseconds that a session middleware adds to a request, without any server: the ASGI application, called in a loop.

The application below does next to nothing, so that what a middleware adds shows; time is that of the
processor, which doesn't go by what else the machine does. The phases of
ours are measured by calling what each consists of; `commit` is what the start of the response
takes longer, and `rest` what of the whole is none of these.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from starlette.middleware.sessions import SessionMiddleware as CookieMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starlette_sessions_ext import MemoryStore, SessionMiddleware
from starlette_sessions_ext._core.ids import key_of
from starlette_sessions_ext._core.record import Alias, decode
from starlette_sessions_ext._http.cookie import SessionCookie
from starlette_sessions_ext.serializers import JSONSerializer

from .apps import SECRET, SESSION
from .report import Findings, Ratio, Table, Target
from .schedule import Figure, Figures, turns

KINDS = ("read", "write", "anonymous", "forged")
BARE = "bare ASGI"
COOKIES = "Starlette's cookie sessions"
OURS = "ours, memory"
MOST = {"read": 0.45, "write": 0.65, "anonymous": 0.9, "forged": 0.3}
"""How much each may add, as a part of what Starlette's cookie sessions add."""


Headers = Sequence[tuple[bytes, bytes]]
Step = Callable[[], Awaitable[object]]


class Row(NamedTuple):
    kind: str
    what: str


class Application:
    """Reads or changes a session if there is one, and answers. `starting` is the seconds that took to start to."""

    def __init__(self) -> None:
        self.starting = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = scope.get("session", {})
        if scope["path"] == "/begin":
            session.update(SESSION)
        elif scope["path"] == "/write":
            session["count"] = session.get("count", 0) + 1
        elif scope["path"] == "/list":
            session.get("cart", ())
        else:
            session.get("count", 0)
        before = time.thread_time()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        self.starting += time.thread_time() - before
        await send({"type": "http.response.body", "body": b"0"})


class Caller:
    """Asks one application, and keeps what it takes longer to start its responses."""

    def __init__(self, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        self._inner = Application()
        self._app = wrap(self._inner)
        self._sent: Message = {}

    async def begin(self) -> bytes:
        """Begin a session; its cookie."""
        await self._call("/begin", [])
        headers: dict[bytes, bytes] = dict(self._sent["headers"])
        return headers.get(b"set-cookie", b"session=none").partition(b";")[0]

    async def ask(self, kind: str, cookie: bytes, requests: int) -> tuple[float, float]:
        """Microseconds of a request, and those that the start of its response took."""
        headers = headers_of(kind, cookie)
        path = "/write" if kind == "write" else "/read"
        self._inner.starting = 0.0
        before = time.thread_time()
        for _ in range(requests):
            await self._call(path, headers)
        return (time.thread_time() - before) / requests * 1e6, self._inner.starting / requests * 1e6

    async def _call(self, path: str, headers: Headers) -> None:
        scope = {"type": "http", "method": "GET", "scheme": "http", "path": path, "headers": headers}
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._sent = message


def measure(quick: bool, folder: Path) -> Findings:
    return asyncio.run(_measure(*((5, 500) if quick else (15, 3000))))


async def _measure(rounds: int, requests: int) -> Findings:
    store = MemoryStore()
    callers = {
        BARE: Caller(lambda app: app),
        COOKIES: Caller(lambda app: CookieMiddleware(app, SECRET)),
        OURS: Caller(lambda app: SessionMiddleware(app, SECRET, store=store)),
    }
    cookies = {name: await caller.begin() for name, caller in callers.items()}
    phases = await _phases(store, cookies[OURS])
    rows = [Row(kind, app) for kind in KINDS for app in callers] + [Row("phase", name) for name in phases]
    figures = Figures[Row]()
    for turn in turns(rows, rounds, "inprocess"):
        kind, what = turn.row
        if kind == "phase":
            figures.add(turn, whole=await _time(phases[what], requests))
        else:
            whole, start = await callers[what].ask(kind, cookies[what], requests)
            figures.add(turn, whole=whole, start=start)
    return Findings([_table(figures), _phase_table(figures)], _targets(figures))


async def _phases(store: MemoryStore, cookie: bytes) -> Mapping[str, Step]:
    """Return the steps of the middleware before it calls the application."""
    found, headers, serializer = SessionCookie("session", SECRET), headers_of("read", cookie), JSONSerializer()
    session_id = found.find({"headers": headers}).session_id
    assert session_id is not None
    stored = await store.load(key_of(session_id))
    assert stored is not None

    async def find() -> object:
        return found.find({"headers": headers})

    async def load() -> object:
        return await store.load(key_of(session_id))

    async def read() -> object:
        found = decode(stored.data, key_of(session_id))
        assert not isinstance(found, Alias)
        return serializer.loads(found[1])

    return {"cookie": find, "load": load, "decode": read}


async def _time(step: Step, times: int) -> float:
    before = time.thread_time()
    for _ in range(times):
        await step()
    return (time.thread_time() - before) / times * 1e6


def headers_of(kind: str, cookie: bytes) -> Headers:
    """Return the headers of a browser's request."""
    others = [(b"host", b"localhost"), (b"user-agent", b"Mozilla/5.0"), (b"accept", b"text/html"), (b"dnt", b"1")]
    if kind == "anonymous":
        return others
    return [*others, (b"cookie", cookie if kind != "forged" else cookie[:-6] + b"forged")]


def _added(figures: Figures[Row], kind: str, app: str, name: str = "whole") -> Figure:
    """Return the time that the middleware adds."""
    bare = figures.of(Row(kind, BARE), name).median
    return Figure(*(value - bare for value in figures.of(Row(kind, app), name)))


def _table(figures: Figures[Row]) -> Table:
    head = ("requests", "middleware", "us", "added us", "to cookie sessions")
    table = Table("inprocess", "What a middleware adds to a request, in-process", head, "added us")
    for kind in KINDS:
        for app in (COOKIES, OURS):
            added = _added(figures, kind, app)
            ratio = Ratio(added.median / _added(figures, kind, COOKIES).median)
            table.rows.append((kind, app, figures.of(Row(kind, app), "whole"), added, ratio))
    return table


def _phase_table(figures: Figures[Row]) -> Table:
    head = ("requests", "phase", "us", "of the whole")
    table = Table("phases", "What ours on memory adds, by phase", head, "us")
    for kind in ("read", "write"):
        whole = _added(figures, kind, OURS).median
        known = {name: figures.of(Row("phase", name), "whole") for name in ("cookie", "load", "decode")}
        known["commit"] = _added(figures, kind, OURS, "start")
        rest = whole - sum(figure.median for figure in known.values())
        for name, figure in {**known, "rest": Figure(rest, rest, rest)}.items():
            table.rows.append((kind, name, figure, Ratio(figure.median / whole)))
    return table


def _targets(figures: Figures[Row]) -> Iterator[Target]:
    for kind, most in MOST.items():
        ours, theirs = (_added(figures, kind, app).median for app in (OURS, COOKIES))
        yield Target(f"{kind}, memory, in-process: adds at most {most}x of cookie sessions", ours / theirs, most=most)
