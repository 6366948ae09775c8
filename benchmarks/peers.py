"""The same application with the sessions of other packages, for the environment that scripts/bench makes."""

from __future__ import annotations

import os

import litestar as litestar_package
from fastapi import FastAPI
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.stores.memory import MemoryStore as LitestarMemoryStore
from litestar.stores.redis import RedisStore as LitestarRedisStore
from redis_fastapi import FastAPIRedis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starsessions import InMemoryStore, SessionMiddleware, load_session
from starsessions.stores.redis import RedisStore

from . import apps


def starsessions() -> Starlette:
    url = os.environ["SESSIONS"]
    store = InMemoryStore() if url == "memory://" else RedisStore(url)
    app = apps.make_app(_loaded(apps.begin), _loaded(apps.read), _loaded(apps.write))
    app.add_middleware(SessionMiddleware, store=store, lifetime=apps.LIFETIME, cookie_https_only=False)
    return app


def _loaded(handler: apps.Handler) -> apps.Handler:
    async def load_first(request: Request) -> Response:
        await load_session(request)
        return await handler(request)

    return load_first


def fastapi_redis_sdk() -> FastAPI:
    """It needs FastAPI. The handlers are Starlette's, without what FastAPI does for its own."""
    os.environ["REDIS_URL"] = os.environ["SESSIONS"]
    app = FastAPI(routes=apps.routes(apps.begin, apps.read, apps.write))
    FastAPIRedis(app).lifespan().sessions()
    return app


def litestar() -> litestar_package.Litestar:
    url = os.environ["SESSIONS"]
    store = LitestarMemoryStore() if url == "memory://" else LitestarRedisStore.with_client(url=url)
    return litestar_package.Litestar(
        route_handlers=[
            litestar_package.get("/begin", media_type="text/plain")(_begin),
            litestar_package.get("/read", media_type="text/plain")(_read),
            litestar_package.get("/write", media_type="text/plain")(_write),
        ],
        middleware=[ServerSideSessionConfig(max_age=apps.LIFETIME).middleware],
        stores={"sessions": store},
    )


async def _begin(request: litestar_package.Request) -> str:
    request.session.update(apps.SESSION)
    return "0"


async def _read(request: litestar_package.Request) -> str:
    return str(request.session.get("count", 0))


async def _write(request: litestar_package.Request) -> str:
    count = request.session["count"] = request.session.get("count", 0) + 1
    return str(count)
