"""The same application with starsessions, with fastapi-redis-sdk, and in Litestar."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import litestar
from fastapi import FastAPI
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.response import Stream
from litestar.stores.redis import RedisStore as LitestarRedisStore
from starlette.applications import Starlette
from starsessions import SessionMiddleware as StarsessionsMiddleware
from starsessions import load_session
from starsessions.stores.redis import RedisStore as StarsessionsRedisStore

from .asgi import hold_up, routes


def starsessions(url: str) -> Any:
    app = Starlette(routes=routes(load_session))
    store = StarsessionsRedisStore(url)
    app.add_middleware(StarsessionsMiddleware, store=store, lifetime=3600, cookie_https_only=False)
    return app


def fastapi_redis_sdk(url: str) -> Any:
    os.environ["REDIS_URL"] = url
    from redis_fastapi import FastAPIRedis  # reads its settings when it is imported

    app = FastAPI(routes=routes())
    FastAPIRedis(app).lifespan().sessions(principal_keys=["user"])
    return app


def litestar_sessions(url: str) -> Any:
    async def get(request: litestar.Request[Any, Any, Any]) -> dict[str, Any]:
        return dict(request.session)

    async def put(request: litestar.Request[Any, Any, Any]) -> None:
        request.session.update(request.query_params.dict())

    async def slow(request: litestar.Request[Any, Any, Any]) -> None:
        await hold_up()
        request.session.update(request.query_params.dict())

    async def slow_read(request: litestar.Request[Any, Any, Any]) -> None:
        await hold_up()

    async def sign_in(request: litestar.Request[Any, Any, Any]) -> None:
        request.session["user"] = 42

    async def sign_out(request: litestar.Request[Any, Any, Any]) -> None:
        request.clear_session()

    async def cart(request: litestar.Request[Any, Any, Any]) -> None:
        request.session["cart"] = []

    async def append(request: litestar.Request[Any, Any, Any]) -> None:
        request.session["cart"].append("tea")

    async def stream(request: litestar.Request[Any, Any, Any]) -> Stream:
        async def body() -> AsyncIterator[str]:
            yield "one"
            request.session["streamed"] = 1

        return Stream(body())

    async def socket(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        session = socket.session
        await socket.accept()
        session["socket"] = 1
        await socket.close()

    handlers = {
        **{"get": get, "set": put, "slow": slow, "slow-read": slow_read, "sign-in": sign_in},
        **{"sign-out": sign_out, "cart": cart, "append": append, "stream": stream},
    }
    return litestar.Litestar(
        route_handlers=[
            *(litestar.get(f"/{name}")(handle) for name, handle in handlers.items()),
            litestar.websocket("/socket")(socket),
        ],
        middleware=[ServerSideSessionConfig(max_age=3600).middleware],
        stores={"sessions": LitestarRedisStore.with_client(url=url)},
    )
