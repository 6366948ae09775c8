"""Hundreds of parallel writers of one session: a server that lets one in at a time is asked by one at a time."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from starlette_sessions_ext import MongoStore

from ...support.client import Browser, make_app
from ...support.handlers import put, view

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

WRITERS = 260


async def test_all_writers_of_one_session_are_saved(mongo_url: str) -> None:
    statuses: Counter[int] = Counter()
    async with MongoStore(mongo_url, timeout=30) as store:  # for the loads, which all come at once
        browser = Browser(make_app(store, {"/put": put, "/": view}))
        await browser.get("/put?a=0")

        async def write(number: int) -> None:
            statuses[(await browser.tab().get(f"/put?key{number}={number}")).status] += 1

        async with anyio.create_task_group() as group:
            for number in range(WRITERS):
                group.start_soon(write, number)
        assert statuses == {200: WRITERS}
        saved = (await browser.get("/")).json()
    assert saved == {"a": "0", **{f"key{number}": str(number) for number in range(WRITERS)}}
