"""One session in Redis of a real PHP and of `PHPSessionMiddleware`, over HTTP on both sides."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from starlette_sessions_ext.php.middleware import PHPSessionMiddleware
from starlette_sessions_ext.php.redis import PHPRedisStore

from ..support.asyncio_only import anyio_backend
from ..support.client import Browser
from ..support.php_server import PHPServer
from ..support.redis_server import RedisServer
from ..support.servers import running

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

PREFIX = "sf_s"
"""Symfony's."""


@pytest.fixture(scope="module")
def server(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PHPServer]:
    settings: dict[str, object] = {
        "session.save_handler": "redis",
        "session.save_path": f"tcp://127.0.0.1:{redis_server.port}?prefix={PREFIX}",
    }
    with running(PHPServer(tmp_path_factory.mktemp("php"), settings, ("igbinary", "redis"))) as [started]:
        yield started


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[PHPRedisStore]:
    async with PHPRedisStore(f"tcp://127.0.0.1:{redis_server.port}", prefix=PREFIX) as store:
        yield store


class Site:
    """A browser, with a page of PHP and an application of Python that runs `handler`."""

    def __init__(self, store: PHPRedisStore, server: PHPServer, handler: Callable[[Request], Awaitable[Any]]) -> None:
        async def respond(request: Request) -> JSONResponse:
            return JSONResponse(await handler(request))

        app = Starlette(routes=[Route("/", respond)])
        app.add_middleware(PHPSessionMiddleware, store=store)
        self.browser = Browser(app)
        self._server = server

    async def python(self) -> Any:
        return (await self.browser.get("/")).json()

    async def php(self, query: str) -> Any:
        session_id = self.browser.cookies.get("PHPSESSID")
        text, cookies = await anyio.to_thread.run_sync(self._server.request, f"session.php?{query}", session_id)
        self.browser.cookies.update(cookies)
        return json.loads(text)["session"]


async def test_both_count_in_one_session(store: PHPRedisStore, server: PHPServer) -> None:
    async def count(request: Request) -> Any:
        request.session["count"] = request.session.get("count", 0) + 1
        return request.session["count"]

    site = Site(store, server, count)
    for hits in range(1, 9, 2):
        assert (await site.php("do=count"))["count"] == hits
        assert await site.python() == hits + 1


async def test_what_symfony_writes_at_the_same_time_stays(store: PHPRedisStore, server: PHPServer) -> None:
    """The variables of a Symfony application are one level down: there they are merged key by key."""

    async def change(request: Request) -> Any:
        attributes = request.session["_sf2_attributes"]
        attributes["python"] = "1"
        await site.php("do=attribute&key=php&value=2")
        await request.state.session.save()
        attributes["late"] = "3"
        await site.php("do=attribute&key=php&value=4")

    site = Site(store, server, change)
    await site.php("do=attribute&key=first&value=0")
    await site.python()
    assert (await site.php("do=read"))["_sf2_attributes"] == {"first": "0", "python": "1", "late": "3", "php": "4"}


async def test_an_exact_change_keeps_what_symfony_writes(store: PHPRedisStore, server: PHPServer) -> None:
    async def change(request: Request) -> Any:
        request.session["_sf2_attributes"]["mine"] = "5"
        await site.php("do=attribute&key=php&value=2")
        await request.state.session.atomic(lambda data: data["_sf2_attributes"].update(python="1"))
        request.session["_sf2_attributes"]["late"] = "6"

    site = Site(store, server, change)
    await site.php("do=attribute&key=first&value=0")
    await site.python()
    expected = {"first": "0", "php": "2", "python": "1", "mine": "5", "late": "6"}
    assert (await site.php("do=read"))["_sf2_attributes"] == expected
