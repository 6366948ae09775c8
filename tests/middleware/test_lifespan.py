"""The store opens and closes with the application, or at the first request where a server has no lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from starlette_sessions_ext import MemoryStore, SessionMiddleware, SQLiteStore, StoreUnavailable

from ..support.client import SECRET, Browser, make_app
from ..support.lifespan import Lifespan

pytestmark = pytest.mark.anyio


class Noting(MemoryStore):
    """Notes when it is opened and closed."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__()
        self.notes = notes

    async def open(self) -> None:
        self.notes.append("store opens")

    async def aclose(self) -> None:
        self.notes.append("store closes")


class Unreachable(MemoryStore):
    async def open(self) -> None:
        raise StoreUnavailable("no answer from 10.0.0.1")


async def test_the_store_opens_after_the_application_and_closes_after_it() -> None:
    notes: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        notes.append("application starts")
        yield
        notes.append("application stops")

    app = Starlette(lifespan=lifespan)
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=Noting(notes))
    server = Lifespan(app)
    await server.run()
    assert notes == ["application starts", "store opens", "application stops", "store closes"]
    assert [m["type"] for m in server.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_the_store_closes_even_if_the_application_fails_to_stop() -> None:
    notes: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        raise ZeroDivisionError

    app = Starlette(lifespan=lifespan)
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=Noting(notes))
    with pytest.raises(ZeroDivisionError):
        await Lifespan(app).run()
    assert notes == ["store opens", "store closes"]


async def test_the_store_of_an_application_that_doesnt_start_stays_closed() -> None:
    notes: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    app = Starlette(lifespan=lifespan)
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=Noting(notes))
    server = Lifespan(app)
    with pytest.raises(ZeroDivisionError):
        await server.run()
    assert [message["type"] for message in server.sent] == ["lifespan.startup.failed"]
    assert notes == []


async def test_a_store_that_doesnt_open_fails_the_startup_and_says_why() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    server = Lifespan(SessionMiddleware(app, SECRET, store=Unreachable()))
    with suppress(StoreUnavailable):
        await server.run()
    assert server.sent == [{"type": "lifespan.startup.failed", "message": "session store: no answer from 10.0.0.1"}]


async def test_a_store_that_doesnt_open_is_closed() -> None:
    class Failing(Noting):
        async def open(self) -> None:
            await super().open()
            raise StoreUnavailable("no answer from 10.0.0.1")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    notes: list[str] = []
    with suppress(StoreUnavailable):
        await Lifespan(SessionMiddleware(app, SECRET, store=Failing(notes))).run()
    assert notes == ["store opens", "store closes"]


async def test_an_application_whose_store_doesnt_open_ends_and_cleans_up() -> None:
    """After this answer a server sends nothing more: an application that waits for the shutdown then waits for ever."""
    notes: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            notes.append("application stops")

    app = Starlette(lifespan=lifespan)
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=Unreachable())
    server = Lifespan(app)
    with suppress(StoreUnavailable):  # it may be let out after the message, as Starlette does with its own
        await server.run()
    assert [message["type"] for message in server.sent] == ["lifespan.startup.failed"]
    assert notes == ["application stops"]


def test_a_test_client_shows_why_the_store_doesnt_open(anyio_backend_name: Literal["asyncio", "trio"]) -> None:
    """It waits for ever on an application that says `startup.failed` and then ends without an error."""
    app = Starlette()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=Unreachable())
    with pytest.raises(StoreUnavailable, match=r"10\.0\.0\.1"):
        with TestClient(app, backend=anyio_backend_name):
            pass


async def test_without_a_lifespan_the_first_use_opens(tmp_path: Path) -> None:
    async def count(request: Request) -> Any:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return request.session["visits"]

    store = SQLiteStore(tmp_path / "sessions.db")
    browser = Browser(make_app(store, {"/": count}))
    try:
        assert [(await browser.get("/")).json() for _ in range(2)] == [1, 2]
    finally:
        await store.aclose()


async def test_a_store_opened_by_the_lifespan_serves_after_a_restart(tmp_path: Path) -> None:
    async def count(request: Request) -> Any:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return request.session["visits"]

    store = SQLiteStore(tmp_path / "sessions.db")
    browser = Browser(make_app(store, {"/": count}))
    assert (await browser.get("/")).json() == 1
    await Lifespan(browser.app).run()
    assert (await browser.get("/")).json() == 2
    await store.aclose()
