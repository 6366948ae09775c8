"""Parallel requests of one session: rows K1 to K8 of the requirements."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from starlette.requests import Request

from ..asgi import Browser, make_app
from ..stores.instruments import CountingStore

pytestmark = pytest.mark.anyio


async def view(request: Request) -> Any:
    return dict(request.state.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.state.session.update(request.query_params)
    return {}


async def logout(request: Request) -> Any:
    request.state.session.destroy()
    return {}


async def rotate(request: Request) -> Any:
    request.state.session["user"] = "ann"
    request.state.session.rotate()
    return {}


async def count(request: Request) -> Any:
    def increment(data: dict[str, Any]) -> int:
        data["count"] = data.get("count", 0) + 1
        return int(data["count"])

    return await request.state.session.atomic(increment)


HANDLERS = {"/": view, "/put": put, "/logout": logout, "/rotate": rotate, "/count": count}


async def test_K2_fifty_parallel_requests_each_set_a_key_of_their_own(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?start=0")
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(browser.get, f"/put?key{number}={number}")
    assert (await browser.get("/")).json() == {"start": "0", **{f"key{n}": str(n) for n in range(50)}}
