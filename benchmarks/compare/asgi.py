"""The application, with sessions of this package and with Starlette's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware as CookieMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from starlette_sessions_ext import SessionMiddleware, store_from_url

from .gate import gate

SECRET = "a secret of more than 16 bytes"  # noqa: S105 - for nothing else
Load = Callable[[HTTPConnection], Awaitable[None]]


async def _nothing(connection: HTTPConnection) -> None:
    """Do nothing: the session is there already."""


async def hold_up() -> None:
    await anyio.to_thread.run_sync(gate.wait)


def routes(load: Load = _nothing) -> list[Any]:
    """What all applications do. `load` makes `request.session` ready."""

    def route(path: str, handle: Callable[[Request], Awaitable[Any]]) -> Route:
        async def endpoint(request: Request) -> Response:
            await load(request)
            result = await handle(request)
            return result if isinstance(result, Response) else JSONResponse(result)

        return Route(path, endpoint)

    async def get(request: Request) -> Any:
        return dict(request.session)

    async def put(request: Request) -> Any:
        request.session.update(request.query_params)

    async def slow(request: Request) -> Any:
        request.session.get("first")
        await hold_up()
        request.session.update(request.query_params)

    async def slow_read(request: Request) -> Any:
        request.session.get("first")
        await hold_up()

    async def sign_in(request: Request) -> Any:
        request.session["user"] = 42

    async def sign_out(request: Request) -> Any:
        request.session.clear()

    async def cart(request: Request) -> Any:
        request.session["cart"] = []

    async def append(request: Request) -> Any:
        request.session["cart"].append("tea")

    async def stream(request: Request) -> Any:
        async def body() -> AsyncIterator[str]:
            yield "one"
            request.session["streamed"] = 1

        return StreamingResponse(body())

    async def socket(websocket: WebSocket) -> None:
        await load(websocket)
        session = websocket.session
        await websocket.accept()
        session["socket"] = 1
        await websocket.close()

    handlers = {
        **{"/get": get, "/set": put, "/slow": slow, "/slow-read": slow_read, "/sign-in": sign_in},
        **{"/sign-out": sign_out, "/cart": cart, "/append": append, "/stream": stream},
    }
    return [*(route(path, handle) for path, handle in handlers.items()), WebSocketRoute("/socket", socket)]


def ours(url: str) -> Any:
    app = Starlette(routes=routes())
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store_from_url(url), user="user")
    return app


def starlette(url: str) -> Any:
    app = Starlette(routes=routes())
    app.add_middleware(CookieMiddleware, secret_key=SECRET)
    return app
