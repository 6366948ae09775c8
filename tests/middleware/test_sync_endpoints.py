"""Plain `def` endpoints save, and change the freshest data, from the thread that they run in."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from starlette_sessions_ext import MemoryStore, Session, SessionError, SessionMiddleware, get_session
from starlette_sessions_ext.session.from_thread import run_on_event_loop

from ..support.client import SECRET, Browser, make_app
from ..support.store_wrappers import CountingStore


def count(data: dict[str, Any]) -> int:
    data["visits"] = data.get("visits", 0) + 1
    visits: int = data["visits"]
    return visits


async def count_async(data: dict[str, Any]) -> int:
    raise AssertionError("it must not run")


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryStore())


@pytest.fixture
def client(store: CountingStore, anyio_backend_name: Literal["asyncio", "trio"]) -> TestClient:
    def visit(request: Request) -> JSONResponse:
        return JSONResponse(get_session(request).atomic_sync(count))

    def order(request: Request) -> JSONResponse:
        session = get_session(request)
        session["order"] = "paid"
        session.save_sync()
        return JSONResponse(store.calls[-1])

    def wrong(request: Request) -> JSONResponse:
        get_session(request)["wrong"] = True
        with pytest.raises(TypeError, match="plain function, which can run again: this one is async"):
            get_session(request).atomic_sync(count_async)  # type: ignore[unused-coroutine]
        return JSONResponse(store.calls)

    def fail(request: Request) -> JSONResponse:
        def fn(data: dict[str, Any]) -> None:
            raise RuntimeError("of the application")

        with pytest.raises(RuntimeError, match=r"^of the application$"):
            get_session(request).atomic_sync(fn)
        return JSONResponse({})

    routes = [Route(f"/{endpoint.__name__}", endpoint) for endpoint in (visit, order, wrong, fail)]
    app = Starlette(routes=routes)
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store)
    return TestClient(app, backend=anyio_backend_name)


def test_atomic_sync_returns_the_result(client: TestClient) -> None:
    with client:
        assert [client.get("/visit").json() for _ in range(3)] == [1, 2, 3]


def test_save_sync_saves_before_the_response(client: TestClient) -> None:
    assert client.get("/order").json() == "create"


def test_an_async_function_is_refused_before_anything_runs(client: TestClient) -> None:
    assert client.get("/wrong").json() == []


def test_errors_of_the_function_pass(client: TestClient) -> None:
    assert client.get("/fail").status_code == 200


@pytest.mark.anyio
async def test_on_the_event_loop_they_say_what_to_do() -> None:
    async def handle(request: Request) -> Any:
        session = get_session(request)
        session["a"] = 1
        for call in (session.save_sync, lambda: session.atomic_sync(count)):
            with pytest.raises(SessionError, match=r"plain `def` endpoints, .* on the event loop await `save`"):
                call()

    store = CountingStore(MemoryStore())
    assert (await Browser(make_app(store, {"/": handle})).get("/")).status == 200
    assert store.calls == ["create"]


def test_in_a_thread_of_the_application_they_say_so() -> None:
    async def main() -> None:
        await asyncio.to_thread(Session().save_sync)

    with pytest.raises(SessionError, match=r"start threads with `anyio\.to_thread\.run_sync`"):
        asyncio.run(main())


@pytest.mark.anyio
async def test_nothing_runs_where_no_loop_can_be_found() -> None:
    async def never() -> None:
        raise AssertionError

    with pytest.raises(SessionError):
        run_on_event_loop(never)
