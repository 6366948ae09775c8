"""Endpoints for signed-in users only, in FastAPI and in Starlette, over HTTP and WebSockets."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from starlette_sessions_ext import (
    ConfigurationError,
    MemoryStore,
    Session,
    SessionMiddleware,
    get_session,
    get_user,
    require_session,
    session_required,
)
from starlette_sessions_ext.testing import FakeClock, sign_in

SECRET = "a secret of more than 16 bytes"


def with_sessions(app: Any, clock: FakeClock, **options: Any) -> TestClient:
    app.add_middleware(
        SessionMiddleware,
        secret_key=SECRET,
        store=MemoryStore(clock=clock),
        clock=clock,
        **{"user": "user_id", **options},
    )
    return TestClient(app)


@pytest.fixture
def fastapi(clock: FakeClock) -> TestClient:
    app = FastAPI()

    @app.get("/account")
    async def account(request: Request, session: Annotated[Session, Depends(require_session())]) -> Any:
        return {"user": get_user(request)}

    @app.get("/payment")
    def payment(
        request: Request, session: Annotated[Session, Depends(require_session(signed_in_within=timedelta(minutes=5)))]
    ) -> Any:
        return {"user": get_user(request)}

    @app.websocket("/talk")
    async def talk(
        websocket: FastAPIWebSocket, session: Annotated[Session, Depends(require_session(signed_in_within=300))]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(str(get_user(websocket)))
        await websocket.close()

    @app.post("/prove")
    async def prove(request: Request) -> Any:
        get_session(request).reauthenticated()

    return with_sessions(app, clock)


@pytest.fixture
def starlette(clock: FakeClock) -> TestClient:
    @session_required()
    async def account(request: Request) -> Response:
        return JSONResponse({"user": get_user(request)})

    class Payment(HTTPEndpoint):
        @session_required(signed_in_within=300)
        def get(self, request: Request) -> Response:
            return JSONResponse({"user": get_user(request)})

    @session_required(signed_in_within=300)
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(get_user(websocket)))
        await websocket.close()

    async def prove(request: Request) -> Response:
        get_session(request).reauthenticated()
        return Response()

    routes = [Route("/account", account), Route("/payment", Payment), Route("/prove", prove, methods=["POST"])]
    return with_sessions(Starlette(routes=[*routes, WebSocketRoute("/talk", talk)]), clock)


@pytest.fixture(params=["fastapi", "starlette"])
def client(request: pytest.FixtureRequest) -> TestClient:
    found: TestClient = request.getfixturevalue(request.param)
    return found


def closing(client: TestClient) -> tuple[int, str]:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/talk"):
        pass
    return refused.value.code, refused.value.reason


def test_without_a_user_there_is_no_way_in(client: TestClient) -> None:
    answer = client.get("/account")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Session")
    assert "sign_in_required" in answer.text
    assert closing(client) == (1008, "sign_in_required")
    sign_in(client, 42)
    assert client.get("/account").json() == {"user": "42"}
    assert client.get("/payment").json() == {"user": "42"}
    with client.websocket_connect("/talk") as socket:
        assert socket.receive_text() == "42"


def test_an_old_sign_in_has_to_be_repeated(client: TestClient, clock: FakeClock) -> None:
    sign_in(client, 42)
    clock.advance(300)
    assert client.get("/payment").status_code == 200
    clock.advance(1)
    answer = client.get("/payment")
    challenge = 'Session error="insufficient_user_authentication", max_age=300'
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
    assert "insufficient_user_authentication" in answer.text
    assert closing(client) == (1008, "insufficient_user_authentication")
    assert client.get("/account").status_code == 200, "which asks for less"
    client.post("/prove")
    assert client.get("/payment").status_code == 200
    clock.advance(301)
    sign_in(client, 42)
    assert client.get("/payment").status_code == 200, "who signs in again has just signed in"


def test_a_session_from_before_the_option_is_as_old_as_it_is(clock: FakeClock) -> None:
    store = MemoryStore(clock=clock)

    @session_required(signed_in_within=300)
    async def payment(request: Request) -> Response:
        return Response()

    async def enter(request: Request) -> Response:
        request.session["user_id"] = 42
        return Response()

    def client_of(**options: Any) -> TestClient:
        app = Starlette(routes=[Route("/payment", payment), Route("/enter", enter)])
        app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store, clock=clock, **options)
        return TestClient(app)

    before = client_of()
    before.get("/enter")
    after = client_of(user="user_id")
    after.cookies = before.cookies
    assert after.get("/payment").status_code == 200
    clock.advance(301)
    assert after.get("/payment").status_code == 401


def test_it_needs_the_option_user_and_an_endpoint(clock: FakeClock) -> None:
    @session_required()
    async def account(request: Request) -> Response:
        raise AssertionError("it isn't called")

    @session_required()
    async def odd() -> None:
        raise AssertionError("it isn't called")

    client = with_sessions(Starlette(routes=[Route("/", account)]), clock, user=None)
    with pytest.raises(ConfigurationError, match='the option user, such as user="user_id"'):
        client.get("/")
    with pytest.raises(TypeError, match="a Request or a WebSocket"):
        odd().send(None)
    for nonsense in (0, -1, 1.5, "300"):
        with pytest.raises(ConfigurationError, match="signed_in_within"):
            require_session(nonsense)  # type: ignore[arg-type]
