"""Tests of applications read and fill their client's session, and sign users in, through the real middleware."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from starlette_sessions_ext import (
    ConfigurationError,
    MemoryStore,
    NotSerializable,
    Session,
    SessionError,
    SessionMiddleware,
    SQLiteStore,
    StoreUnavailable,
    TaggedJSONSerializer,
)
from starlette_sessions_ext.discovery import find_session_middleware
from starlette_sessions_ext.testing import session_of, sign_in, sign_in_async

from ..support.client import SECRET
from ..support.store_wrappers import CountingStore


async def show(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


async def fill(request: Request) -> JSONResponse:
    request.session.update(request.query_params)
    return JSONResponse({})


def make_app(**options: Any) -> Starlette:
    app = Starlette(routes=[Route("/", show), Route("/fill", fill)])
    app.add_middleware(SessionMiddleware, **{"secret_key": SECRET, "store": MemoryStore(), **options})
    return app


@pytest.fixture
def client(anyio_backend_name: Literal["asyncio", "trio"]) -> TestClient:
    return TestClient(make_app(), backend=anyio_backend_name)


class TestSessionOf:
    def test_a_new_session_is_filled(self, client: TestClient) -> None:
        with session_of(client) as session:
            assert session.is_new
            session["user_id"] = 42
        assert client.get("/").json() == {"user_id": 42}

    def test_what_the_application_saved_is_read_and_changed(self, client: TestClient) -> None:
        client.get("/fill?a=1&b=2")
        cookie = client.cookies["session"]
        with session_of(client) as session:
            assert session == {"a": "1", "b": "2"}
            assert not session.is_new
            session["c"] = [3]
            del session["a"]
        assert client.get("/").json() == {"b": "2", "c": [3]}
        assert client.cookies["session"] == cookie

    def test_nested_changes_and_typed_data_are_saved(self, client: TestClient) -> None:
        @dataclass
        class Prefs:
            size: int = 1

        with session_of(client) as session:
            session["cart"] = {"items": []}
        with session_of(client) as session:
            session["cart"]["items"].append("tea")
            session.typed(Prefs, key="prefs").size = 2
        assert client.get("/").json() == {"cart": {"items": ["tea"]}, "prefs": {"size": 2}}

    def test_requests_in_the_block_keep_their_changes(self, client: TestClient) -> None:
        client.get("/fill?a=1&b=2")
        with session_of(client) as session:
            client.get("/fill?a=3")
            session["c"] = 4
            session.pop("b")
        assert client.get("/").json() == {"a": "3", "c": 4}

    def test_values_that_are_equal_in_python_are_told_apart(self, client: TestClient) -> None:
        with session_of(client) as session:
            session["a"] = 1
        with session_of(client) as session:
            session["a"] = True
        assert client.get("/").json()["a"] is True

    def test_looking_writes_nothing(self) -> None:
        store = CountingStore(MemoryStore())
        client = TestClient(make_app(store=store))
        with session_of(client) as session:
            assert session == {}
        assert store.calls == []
        assert not client.cookies

    def test_after_an_exception_nothing_is_saved(self, client: TestClient) -> None:
        def fail() -> None:
            with session_of(client) as session:
                session["a"] = 1
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert client.get("/").json() == {}

    @pytest.mark.parametrize("end", [Session.destroy, Session.clear])
    def test_it_ends_a_session(self, client: TestClient, end: Any) -> None:
        client.get("/fill?a=1")
        with session_of(client) as session:
            end(session)
        assert not client.cookies
        client.get("/fill?a=1")
        cookie = client.cookies["session"]
        with session_of(client) as session:
            end(session)
            session["b"] = 2
        assert client.get("/").json() == {"b": 2}
        assert client.cookies["session"] != cookie

    def test_it_rotates_and_sets_a_lifetime(self, client: TestClient) -> None:
        client.get("/fill?a=1")
        cookie = client.cookies["session"]
        with session_of(client) as session:
            session.rotate()
            session.set_lifetime(60)
        assert client.cookies["session"] != cookie
        assert client.get("/").json() == {"a": "1"}
        with session_of(client) as session:
            assert session.lifetime == 60

    def test_the_serializer_is_the_application_s(self) -> None:
        client = TestClient(make_app(serializer=TaggedJSONSerializer()))
        with session_of(client) as session:
            session["a"] = {1, 2}
        with session_of(client) as session:
            assert session["a"] == {1, 2}

    def test_what_cant_be_saved_raises_in_the_test(self) -> None:
        for raises in (True, False):
            client = TestClient(make_app(), raise_server_exceptions=raises)
            with pytest.raises(NotSerializable, match=r"^session\['a'\] is a set"), session_of(client) as session:
                session["a"] = {1}

    def test_a_store_that_is_away_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store = MemoryStore()
        client = TestClient(make_app(store=store))
        client.get("/fill?a=1")

        async def fail(key: str) -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr(store, "load", fail)
        with pytest.raises(SessionError, match=r"^the session middleware answered 503: its log says why$"):
            session_of(client).__enter__()
        assert client.get("/").status_code == 503, "the client is as it was"

    def test_with_a_lifespan_it_runs_in_its_event_loop(self, tmp_path: Any) -> None:
        with TestClient(make_app(store=SQLiteStore(tmp_path / "sessions.db"))) as client:
            with session_of(client) as session:
                session["a"] = 1
            assert client.get("/").json() == {"a": 1}

    @pytest.mark.parametrize(
        "options",
        [
            {"path": "/shop"},
            {"exclude": lambda scope: True},
            {"save_if": lambda status: False},
            {"https_only": True, "session_cookie": "__Host-session"},
            {"state_attr": "sess"},
        ],
        ids=lambda options: next(iter(options)),
    )
    def test_options_of_the_middleware_are_no_hindrance(self, options: Any) -> None:
        client = TestClient(make_app(**options), base_url="https://testserver")
        with session_of(client) as session:
            session["a"] = 1
        with session_of(client) as session:
            assert session == {"a": 1}

    @pytest.mark.parametrize("options", [{"https_only": True}, {"domain": "example.com"}])
    def test_a_cookie_that_the_client_doesnt_send_back_is_an_error(self, options: Any) -> None:
        client = TestClient(make_app(**options))
        with (
            pytest.raises(ConfigurationError, match=r"doesn't send the session's cookie back.*https://testserver"),
            session_of(client) as session,
        ):
            session["a"] = 1


class TestSignIn:
    def test_it_sets_the_user_under_a_new_id(self, client: TestClient) -> None:
        client.get("/fill?cart=tea")
        cookie = client.cookies["session"]
        sign_in(client, 42)
        assert client.get("/").json() == {"cart": "tea", "user_id": 42}
        assert client.cookies["session"] != cookie
        client.cookies.clear()
        client.cookies["session"] = cookie
        assert client.get("/").json() == {}, "the old id is rejected"

    def test_the_key_can_be_named(self, client: TestClient) -> None:
        sign_in(client, "ann", key="user")
        assert client.get("/").json() == {"user": "ann"}

    def test_the_key_is_that_of_the_option_user(self) -> None:
        client = TestClient(make_app(user="account"))
        client.get("/fill?cart=tea")
        sign_in(client, 42)
        with session_of(client) as session:
            assert session == {"cart": "tea", "account": 42}
            assert session.signed_in_at is not None
            public_id = session.public_id
        sign_in(client, 42)
        with session_of(client) as session:
            assert session.public_id == public_id
        sign_in(client, 43)
        with session_of(client) as session:
            assert session == {"account": 43}, "another user's session begins empty"

    def test_a_user_by_a_function_needs_a_key(self) -> None:
        client = TestClient(make_app(user=lambda data: data.get("account")))
        with pytest.raises(ConfigurationError, match=r"the option user is a function, so name the key that it reads"):
            sign_in(client, 42)
        sign_in(client, 42, key="account")
        with session_of(client) as session:
            assert session.signed_in_at is not None


@pytest.mark.anyio
class TestAsyncClient:
    async def test_it_is_filled_and_signed_in(self) -> None:
        transport = httpx2.ASGITransport(make_app())
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            async with session_of(client) as session:
                session["a"] = 1
            await sign_in_async(client, 42)
            async with session_of(client) as session:
                assert session == {"a": 1, "user_id": 42}

            async def fail() -> None:
                async with session_of(client) as session:
                    session["b"] = 2
                    raise KeyError

            with pytest.raises(KeyError):
                await fail()
            assert (await client.get("/")).json() == {"a": 1, "user_id": 42}

    async def test_each_kind_of_client_has_its_with(self) -> None:
        transport = httpx2.ASGITransport(make_app())
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            with pytest.raises(TypeError, match="write `async with"), session_of(client):
                pass
        with pytest.raises(TypeError, match="write `with"):
            async with session_of(TestClient(make_app())):
                pass


class Wrapper:
    def __init__(self, app: Any) -> None:
        self.application = app

    async def __call__(self, *arguments: Any) -> None:
        await self.application(*arguments)


class Silent(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


def named(name: str) -> Middleware:
    return Middleware(SessionMiddleware, secret_key=SECRET, store=MemoryStore(), session_cookie=name)


class TestFinding:
    def test_outside_and_below_of_whatever_the_application_has(self) -> None:
        admin = Starlette(routes=[Route("/", show)], middleware=[named("admin")])
        shop = FastAPI(middleware=[named("shop")])
        app = Starlette(
            routes=[
                Mount("/admin", admin),
                Mount("/shop", routes=[Mount("/deeper", shop)]),
                Mount("/wrapped", Starlette(routes=[Route("/", show)]), middleware=[named("mount")]),
                Route("/route", show, middleware=[named("route")]),
            ],
            middleware=[Middleware(HTTPSRedirectMiddleware), Middleware(Silent), named("outer")],
        )
        found = [middleware.session_cookie for middleware in find_session_middleware(Wrapper(app))]
        assert found[0] == "outer"
        assert sorted(found) == ["admin", "mount", "outer", "route", "shop"]
        client = TestClient(app)
        for name in found:
            with session_of(client, session_cookie=name) as session:
                session["name"] = name
        assert set(client.cookies) == set(found)
        sign_in(client, 42, session_cookie="admin")
        client = TestClient(app, base_url="https://testserver", cookies=dict(client.cookies))
        with session_of(client, session_cookie="shop") as session:
            assert session == {"name": "shop"}
        with session_of(client, session_cookie="admin") as session:
            assert session == {"name": "admin", "user_id": 42}

    def test_an_application_in_itself_ends(self) -> None:
        wrapper = Wrapper(None)
        wrapper.application = wrapper
        assert find_session_middleware(wrapper) == []

    def test_a_lone_middleware_is_found(self) -> None:
        middleware = SessionMiddleware(show, SECRET, store=MemoryStore())  # type: ignore[arg-type]
        assert find_session_middleware(middleware) == [middleware]

    def test_of_several_one_is_named(self) -> None:
        app = Starlette(middleware=[named("one"), named("two")])
        with pytest.raises(ConfigurationError, match=r"has several SessionMiddleware: .*, of 'one', 'two'$"):
            session_of(TestClient(app))
        with pytest.raises(ConfigurationError, match=r"has this session_cookie: there is 'one', 'two'$"):
            session_of(TestClient(app), session_cookie="three")

    def test_none_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match=r"has no SessionMiddleware that can be found$"):
            session_of(TestClient(Starlette()))

    def test_a_client_of_a_server_is_refused(self) -> None:
        with httpx2.Client() as client, pytest.raises(ConfigurationError, match=r"^session_of takes Starlette's"):
            session_of(client)


def test_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client: Any
    block: AbstractContextManager[TestClient] = TestClient(make_app())
    with block as client:
        caplog.clear()
        sign_in(client, 42)
        with session_of(client) as session:
            session.destroy()
    assert [record for record in caplog.records if record.name.startswith("starlette_sessions_ext")] == []
