"""Encrypted sessions through the middleware, and on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import EncryptedStore, EventKind, MigratingStore, SessionEvent, SQLiteStore
from starlette_sessions_ext.cli import main
from starlette_sessions_ext.testing import FakeClock

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.client import Browser, make_app
from .keys import NEW, OLD

pytestmark = pytest.mark.anyio


async def read(request: Request) -> dict[str, Any]:
    return dict(request.session)


async def sign_in(request: Request) -> None:
    request.session["user"] = request.query_params["user"]


async def put(request: Request) -> None:
    request.session[request.query_params["key"]] = 1


async def count(request: Request) -> None:
    await request.state.session.atomic(lambda data: data.update(count=data.get("count", 0) + 1))


async def devices(request: Request) -> list[str]:
    return [info.public_id for info in await request.state.session.directory.list("ann")]


HANDLERS = {"/": read, "/in": sign_in, "/put": put, "/count": count, "/devices": devices}


async def test_parallel_changes_are_merged(tmp_path: Path) -> None:
    async with EncryptedStore(SQLiteStore(tmp_path / "sessions.db"), keys=[NEW]) as store:
        browser = Browser(make_app(store, HANDLERS))
        await browser.get("/put?key=first")
        await asyncio.gather(*(browser.tab().get(f"/put?key=k{number}") for number in range(10)))
        assert (await browser.get("/")).json() == dict.fromkeys(["first", *(f"k{n}" for n in range(10))], 1)


async def test_atomic_changes_are_all_counted(tmp_path: Path) -> None:
    async with EncryptedStore(SQLiteStore(tmp_path / "sessions.db"), keys=[NEW]) as store:
        browser = Browser(make_app(store, HANDLERS))
        await browser.get("/put?key=first")
        await asyncio.gather(*(browser.tab().get("/count") for _ in range(10)))
        assert (await browser.get("/")).json() == {"first": 1, "count": 10}


async def test_users_are_found(tmp_path: Path) -> None:
    async with EncryptedStore(SQLiteStore(tmp_path / "sessions.db"), keys=[NEW]) as store:
        app = make_app(store, HANDLERS, user="user")
        ann, again = Browser(app), Browser(app)
        for browser in (ann, again):
            await browser.get("/in?user=ann")
        assert len((await ann.get("/devices")).json()) == 2


async def test_encryption_is_turned_on_for_live_sessions_and_keys_are_changed(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "sessions.db") as inner:
        browser = Browser(make_app(inner, HANDLERS))
        await browser.get("/in?user=ann")
        steps = [
            EncryptedStore(inner, keys=[OLD], accept_plain=True),
            EncryptedStore(inner, keys=[OLD]),
            EncryptedStore(inner, keys=[OLD, NEW]),
            EncryptedStore(inner, keys=[NEW, OLD]),
            EncryptedStore(inner, keys=[NEW]),
        ]
        for number, store in enumerate(steps):
            browser.app = make_app(store, HANDLERS)
            assert (await browser.get("/")).json()["user"] == "ann"
            await browser.get(f"/put?key=k{number}")
        assert list((await browser.get("/")).json()) == ["user", "k0", "k1", "k2", "k3", "k4"]
        [key] = [key async for key in inner.all_keys()]
        row = await inner.load(key)
        assert row is not None
        assert row.data.startswith(b"e1 ")


async def test_an_unreadable_row_opens_an_empty_session_and_stays(tmp_path: Path) -> None:
    events: list[SessionEvent] = []
    async with SQLiteStore(tmp_path / "sessions.db") as inner:
        browser = Browser(make_app(EncryptedStore(inner, keys=[OLD]), HANDLERS))
        await browser.get("/in?user=ann")
        [key] = [key async for key in inner.all_keys()]
        before = await inner.load(key)
        browser.app = make_app(EncryptedStore(inner, keys=[NEW]), HANDLERS, on_event=events.append)
        assert (await browser.tab().get("/")).json() == {}
        await browser.get("/in?user=bob")
        assert (await browser.get("/")).json() == {"user": "bob"}
        assert await inner.load(key) == before
    assert events[0].kind is EventKind.RECORD_CORRUPT


@pytest.mark.parametrize("outside", [True, False])
async def test_sessions_move_to_an_encrypted_store(tmp_path: Path, outside: bool) -> None:
    old, new = SQLiteStore(tmp_path / "old.db"), SQLiteStore(tmp_path / "new.db")
    async with old:
        browser = Browser(make_app(old, HANDLERS))
        await browser.get("/in?user=ann")
    store = (
        EncryptedStore(MigratingStore(new, old), keys=[NEW], accept_plain=True)
        if outside
        else MigratingStore(EncryptedStore(new, keys=[NEW]), old)
    )
    async with store:
        browser.app = make_app(store, HANDLERS)
        await browser.get("/put?key=k")
        assert (await browser.get("/")).json() == {"user": "ann", "k": 1}
        [key] = [key async for key in new.all_keys()]
        row = await new.load(key)
        assert row is not None
        assert row.data.startswith(b"e1 ")
        assert [key async for key in old.all_keys()] == []


def test_the_command_line_needs_no_key(tmp_path: Path, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"

    async def fill() -> None:
        async with EncryptedStore(SQLiteStore(tmp_path / "sessions.db"), keys=[NEW]) as store:
            for number in range(3):
                await store.create("a" * 31 + "abc"[number], b"data", int(clock()) - 1)

    asyncio.run(fill())
    assert main(["doctor", url]) == 0
    assert main(["gc", url]) == 0
    assert capsys.readouterr().out == "all is well\n3 expired sessions removed\n"
