"""Bytecodes that a session middleware adds to a request, in-process: exact, on a noisy machine too.

Counted are executed bytecodes and the calls of Python functions. What C functions do (json, re, the
hashes) isn't in it, so the numbers say something together with times only.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from starlette.middleware.sessions import SessionMiddleware as CookieMiddleware
from starlette.types import ASGIApp, Message

from starlette_sessions_ext import MemoryStore, SessionMiddleware

from .apps import SECRET
from .inprocess import Application, headers_of
from .report import Findings, Ratio, Table, Target
from .schedule import Figure

MOST = {"read": 650, "list": 800, "write": 1150, "anonymous": 330, "forged": 490}
"""Bytecodes that each kind of request may add; `list` takes a list out of the session, `read` a number."""


class Count(NamedTuple):
    """The bytecodes and calls of one request."""

    bytecodes: int
    calls: int


class Meter:
    """Counts what runs between `start` and `stop`, in frames that begin there."""

    def __init__(self) -> None:
        self._bytecodes = self._calls = 0

    def count(self, request: Coroutine[Any, Any, None]) -> Count:
        """Run a request that waits for nothing."""
        self._bytecodes = self._calls = 0
        before = sys.gettrace()
        sys.settrace(self._begin)
        try:
            request.send(None)
        except StopIteration:
            pass
        else:
            raise RuntimeError("the request waited for something")
        finally:
            sys.settrace(before)
        return Count(self._bytecodes, self._calls)

    def _begin(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._calls += 1
        return self._step

    def _step(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        self._bytecodes += event == "opcode"
        return self._step


def measure(quick: bool, folder: Path) -> Findings:
    store = MemoryStore()
    bare, cookies, ours = (
        _counts(wrap)
        for wrap in (
            lambda app: app,
            lambda app: CookieMiddleware(app, SECRET),
            lambda app: SessionMiddleware(app, SECRET, store=store),
        )
    )
    head = ("requests", "middleware", "bytecodes added", "calls added", "to cookie sessions")
    table = Table("bytecodes", "Bytecodes that a middleware adds to a request", head, "bytecodes added")
    for kind in MOST:
        for name, counts in (("Starlette's cookie sessions", cookies), ("ours, memory", ours)):
            added, calls = (one - other for one, other in zip(counts[kind], bare[kind], strict=True))
            ratio = Ratio(added / (cookies[kind].bytecodes - bare[kind].bytecodes))
            table.rows.append((kind, name, _exact(added), _exact(calls), ratio))
    targets = [
        Target(f"{kind}, memory: adds at most {most} bytecodes", ours[kind].bytecodes - bare[kind].bytecodes, most=most)
        for kind, most in MOST.items()
    ]
    return Findings([table], targets)


def _counts(wrap: Callable[[ASGIApp], ASGIApp]) -> dict[str, Count]:
    app, sent = wrap(Application()), list[Message]()
    asyncio.run(_request(app, "begin", b"", sent))
    set_cookie = dict(sent[0]["headers"]).get(b"set-cookie", b"session=none")
    cookie = set_cookie.partition(b";")[0]
    counts = {}
    for kind in MOST:
        for _ in range(3):
            asyncio.run(_request(app, kind, cookie, []))  # caches, and specialised code
        counts[kind] = Meter().count(_request(app, kind, cookie, []))
    return counts


async def _request(app: ASGIApp, kind: str, cookie: bytes, sent: list[Message]) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    path = f"/{kind}" if kind in ("begin", "list", "write") else "/read"
    headers = headers_of("anonymous" if kind == "begin" else kind, cookie)
    scope = {"type": "http", "method": "GET", "scheme": "http", "path": path, "headers": headers}
    await app(scope, receive, send)


def _exact(value: float) -> Figure:
    return Figure(value, value, value)
