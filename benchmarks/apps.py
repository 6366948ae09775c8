"""The applications that are measured: the same three handlers, without sessions, with Starlette's and with ours.

`peers` has the same with other packages. Each is a factory for uvicorn; SESSIONS in the environment
is the URL of the store.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware as CookieMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from starlette_sessions_ext import SessionMiddleware, store_from_url

SECRET = "a secret of more than 16 bytes"  # noqa: S105 - for nothing else
SESSION: dict[str, Any] = {"user": 42, "cart": ["tea", "cups"], "theme": "dark", "csrf": "x" * 200, "count": 0}
LIFETIME = 14 * 24 * 60 * 60

Handler = Callable[[Request], Awaitable[Response]]


async def begin(request: Request) -> Response:
    request.session.update(SESSION)
    return PlainTextResponse("0")


async def read(request: Request) -> Response:
    return PlainTextResponse(str(request.session.get("count", 0)))


async def write(request: Request) -> Response:
    count = request.session["count"] = request.session.get("count", 0) + 1
    return PlainTextResponse(str(count))


async def answer(request: Request) -> Response:
    """Answer without a session."""
    return PlainTextResponse("0")


def bare() -> Starlette:
    return make_app(answer, answer, answer)


def cookies() -> Starlette:
    app = make_app(begin, read, write)
    app.add_middleware(CookieMiddleware, secret_key=SECRET)
    return app


def ours() -> Starlette:
    app = make_app(begin, read, write)
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store_from_url(os.environ["SESSIONS"]))
    return app


def ours_in_fastapi() -> FastAPI:
    """For comparison with what needs FastAPI."""
    app = FastAPI(routes=routes(begin, read, write))
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store_from_url(os.environ["SESSIONS"]))
    return app


def make_app(begin: Handler, read: Handler, write: Handler) -> Starlette:
    return Starlette(routes=routes(begin, read, write))


def routes(begin: Handler, read: Handler, write: Handler) -> list[BaseRoute]:
    return [Route("/begin", begin), Route("/read", read), Route("/write", write)]
