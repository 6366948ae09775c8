"""The session as a FastAPI dependency."""

from __future__ import annotations

import inspect
from dataclasses import replace as dataclass_replace
from typing import Annotated, Any, Literal

import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.middleware.sessions import SessionMiddleware as StarletteSessionMiddleware
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from starlette_sessions_ext import ConfigurationError, MemoryStore, Session, SessionMiddleware
from starlette_sessions_ext import get_session as plain_get_session
from starlette_sessions_ext.fastapi import SessionDep, TypedSession, current_session

from ..support.client import SECRET
from ..support.typed_classes import Cart, Line, ModelCart, ModelLine, Prefs


def make_app() -> FastAPI:
    """Routes of every kind that have the session as a parameter."""
    app = FastAPI()

    @app.get("/async/{user}")
    async def sign_in(session: SessionDep, user: str) -> dict[str, Any]:
        session["user"] = user
        return dict(session)

    @app.get("/sync/{page}")
    def visit(session: SessionDep, page: str) -> dict[str, Any]:
        session.setdefault("pages", []).append(page)
        return dict(session)

    @app.get("/same")
    def same(session: SessionDep, request: Request) -> bool:
        return session is request.session is request.state.session

    @app.get("/unread")
    def unread(session: SessionDep) -> None: ...

    @app.get("/cart/{name}")
    def add(cart: Annotated[ModelCart, TypedSession("cart")], name: str) -> ModelCart:
        cart.lines.append(ModelLine(name=name))
        return cart

    @app.get("/carts")
    async def carts(
        session: SessionDep,
        first: Annotated[Cart, TypedSession("one")],
        second: Annotated[Cart, TypedSession("two")],
        again: Annotated[Cart, TypedSession("one")],
        prefs: Annotated[Prefs, TypedSession("prefs")],
    ) -> bool:
        first.lines.append(Line("tea"))
        prefs["size"] = 3
        return first is again is session.typed(Cart, key="one") is not second

    @app.websocket("/socket")
    async def socket(session: SessionDep, websocket: WebSocket) -> None:
        session["sockets"] = session.get("sockets", 0) + 1
        await websocket.accept()
        await websocket.send_json(dict(session))
        await websocket.close()

    return app


@pytest.fixture
def app() -> FastAPI:
    app = make_app()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore())
    return app


@pytest.fixture
def client(app: FastAPI, anyio_backend_name: Literal["asyncio", "trio"]) -> TestClient:
    return TestClient(app, backend=anyio_backend_name)


def test_async_and_sync_endpoints_share_the_session(client: TestClient) -> None:
    assert client.get("/async/ann").json() == {"user": "ann"}
    assert client.get("/sync/home").json() == {"user": "ann", "pages": ["home"]}
    assert client.get("/sync/cart").json() == {"user": "ann", "pages": ["home", "cart"]}


def test_websocket_routes_have_it_too(client: TestClient) -> None:
    client.get("/async/ann")
    for number in (1, 2):
        with client.websocket_connect("/socket") as socket:
            assert socket.receive_json() == {"user": "ann", "sockets": number}


def test_it_is_the_session_of_the_request(client: TestClient) -> None:
    assert client.get("/same").json() is True


def test_asking_for_it_is_reading_it(client: TestClient) -> None:
    assert client.get("/unread").headers["vary"] == "Cookie"


def test_it_is_no_parameter_of_the_api(app: FastAPI) -> None:
    operation = app.openapi()["paths"]["/unread"]["get"]
    assert "parameters" not in operation
    assert "requestBody" not in operation


def test_without_the_middleware_it_says_what_is_missing(anyio_backend_name: Literal["asyncio", "trio"]) -> None:
    client = TestClient(make_app(), backend=anyio_backend_name)
    with pytest.raises(ConfigurationError, match=r"add_middleware\(SessionMiddleware"):
        client.get("/same")
    with pytest.raises(ConfigurationError), client.websocket_connect("/socket"):
        pass


def test_with_starlette_s_own_middleware_it_says_so(anyio_backend_name: Literal["asyncio", "trio"]) -> None:
    app = make_app()
    app.add_middleware(StarletteSessionMiddleware, secret_key=SECRET)
    client = TestClient(app, backend=anyio_backend_name)
    with pytest.raises(ConfigurationError, match=r"another session middleware, such as Starlette's own"):
        client.get("/same")
    app = make_app()
    app.add_middleware(StarletteSessionMiddleware, secret_key=SECRET)  # inside ours, which it hides
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore())
    client = TestClient(app, backend=anyio_backend_name)
    with pytest.raises(ConfigurationError, match=r"remove that one"):
        client.get("/same")


@pytest.mark.parametrize("exclude", [["/same", "/socket"], lambda scope: True])
def test_on_a_path_that_is_excluded_it_says_so(exclude: Any, anyio_backend_name: Literal["asyncio", "trio"]) -> None:
    app = make_app()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore(), exclude=exclude)
    client = TestClient(app, backend=anyio_backend_name)
    with pytest.raises(ConfigurationError, match=r"option exclude .* leaves this request without a session"):
        client.get("/same")
    with pytest.raises(ConfigurationError, match=r"option exclude"), client.websocket_connect("/socket"):
        pass


def test_a_session_inside_of_a_skipped_one_is_found(anyio_backend_name: Literal["asyncio", "trio"]) -> None:
    app = make_app()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore())
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore(), exclude=lambda scope: True)
    client = TestClient(app, backend=anyio_backend_name)
    assert client.get("/same").json() is True


def test_a_test_may_put_another_session_in_its_place(app: FastAPI, client: TestClient) -> None:
    given = Session({"user": "bob"})
    app.dependency_overrides[current_session] = lambda: given
    assert client.get("/sync/home").json() == {"user": "bob", "pages": ["home"]}
    assert given["pages"] == ["home"]
    assert client.cookies == {}


def test_objects_are_saved(client: TestClient) -> None:
    assert client.get("/cart/tea").json()["lines"] == [{"name": "tea", "count": 1}]
    assert len(client.get("/cart/milk").json()["lines"]) == 2
    assert client.get("/carts").json() is True
    stored = client.get("/sync/home").json()
    assert stored["one"]["lines"] == [{"name": "tea", "count": 1}]
    assert stored["prefs"] == {"size": 3}
    assert "two" not in stored


def test_objects_are_no_parameters_of_the_api(app: FastAPI) -> None:
    [parameter] = app.openapi()["paths"]["/cart/{name}"]["get"]["parameters"]
    assert parameter["name"] == "name"


def test_a_class_that_cant_be_stored_is_refused_when_the_route_is_added() -> None:
    app = FastAPI()

    async def show(value: Annotated[int, TypedSession("value")]) -> None: ...

    with pytest.raises(ConfigurationError, match=r"int is none of them"):
        app.get("/")(show)


def test_the_session_is_found_in_plain_starlette() -> None:
    session = Session(a=1)
    found = plain_get_session(HTTPConnection({"type": "http", "session": session}))
    assert found is session
    assert session.accessed
    with pytest.raises(ConfigurationError, match=r"add_middleware\(SessionMiddleware"):
        plain_get_session(HTTPConnection({"type": "http"}))


def test_no_thread_is_needed() -> None:
    assert inspect.iscoroutinefunction(current_session)
    dependency = dataclass_replace(TypedSession("cart"), dependency=Cart).dependency
    assert inspect.iscoroutinefunction(dependency)
