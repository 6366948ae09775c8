"""What docs/ says of handlers, middleware and tests is what happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any, ClassVar

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from starlette_sessions_ext import MemoryStore

from ..support import pages
from ..support.pages import Run
from ..support.pages import run as run


class TestMiddlewareOrder:
    def test_cors_is_outside_and_what_uses_the_session_inside(self, run: Run) -> None:
        with TestClient(run("middleware-order.md")["app"]) as client:
            answer = client.get("/", headers={"Origin": "https://app.example.com"})
            assert answer.json() == {"requests": 1}
            assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
            assert client.get("/").json() == {"requests": 2, "last_status": 200}

    def test_a_503_has_cors_headers(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        names = run("middleware-order.md")
        store = MemoryStore(max_bytes=1)
        monkeypatch.setitem(names["app"].user_middleware[1].kwargs, "store", store)
        with TestClient(names["app"]) as client:
            answer = client.get("/", headers={"Origin": "https://app.example.com"})
            assert answer.status_code == 503
            assert answer.headers["access-control-allow-origin"] == "https://app.example.com"

    def test_a_handler_of_a_class_saves_and_one_of_exception_reads(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop = run("middleware-order.md")["shop"]
        with TestClient(shop) as client:
            assert client.get("/buy").status_code == 409
            assert client.get("/").json() == {"flash": "Sold out"}

        async def fail(request: Request) -> None:
            request.session["lost"] = True
            raise RuntimeError

        async def change(request: Request, error: Exception) -> Any:
            request.session["late"] = True
            return await original(request, error)

        original = shop.exception_handlers[Exception]
        shop.exception_handlers[Exception] = change
        shop.router.routes.append(Route("/fail", fail))
        shop.middleware_stack = None
        with TestClient(shop, raise_server_exceptions=False) as client:
            client.get("/buy")
            assert client.get("/fail").json() == {"user": None}
            assert client.get("/").json() == {"flash": "Sold out"}
        assert "changed after its request was over" in caplog.text

    def test_the_messages_are_those_of_a_missing_session(self) -> None:
        page = (pages.DOCS / "middleware-order.md").read_text()

        async def ask(request: Request) -> Any:
            return request.state.session if "state" in request.query_params else request.session

        with TestClient(Starlette(routes=[Route("/", ask)])) as client:
            for path, kind in (("/", AssertionError), ("/?state", AttributeError)):
                with pytest.raises(kind) as error:
                    client.get(path)
                assert f"| `{error.value}` ({kind.__name__}" in page


class TestHandlers:
    def test_def_endpoints_save(self, run: Run) -> None:
        with TestClient(run("handlers.md")["app"]) as client:
            assert [client.get("/visit").json()["visits"] for _ in range(2)] == [1, 2]
            assert client.get("/order").json() == {"order": "paid"}

    def test_a_template_shows_when_the_session_began(self, run: Run) -> None:
        names = run("handlers.md")
        assert names["date"](0) == "01 January 1970"
        with TestClient(names["app"]) as client:
            assert "Welcome!" in client.get("/page").text
            client.get("/visit")
            page = client.get("/page").text
        assert re.search(r"With us since \d\d \w+ 20\d\d\.", page)
        assert "Cart: empty" in page

    def test_an_own_503_is_sent(self, run: Run) -> None:
        shop = run("handlers.md")["shop"]

        async def fill(request: Request) -> JSONResponse:
            request.session["cart"] = "tea"
            return JSONResponse({})

        shop.router.routes.append(Route("/", fill))
        shop.user_middleware[0].kwargs["store"] = MemoryStore(max_bytes=1)
        with TestClient(shop) as client:
            answer = client.get("/")
        assert (answer.status_code, answer.text) == (503, "<h1>Back in a minute</h1>")


@contextmanager
def from_another_site(client: TestClient) -> Iterator[None]:
    """Leave the cookies out of a request that another site makes, and keep those that its response sets."""
    kept = list(client.cookies.jar)
    client.cookies.clear()
    yield
    for cookie in kept:
        if cookie.name not in client.cookies:
            client.cookies.jar.set_cookie(cookie)


class TestCrossSiteSignIn:
    FORM: ClassVar = {"code": '"><b>&', "state": "123", "password": "not asked for"}

    def test_the_form_is_posted_again_with_the_cookie(self, run: Run) -> None:
        names = run("cross-site-sign-in.md")

        async def start(request: Request) -> JSONResponse:
            request.session.update(state="123", cart="tea")
            return JSONResponse({})

        async def show(request: Request) -> JSONResponse:
            return JSONResponse(dict(request.session))

        names["app"].router.routes.extend([Route("/start", start), Route("/", show)])
        with TestClient(names["app"]) as client:
            client.get("/start")
            cookie = client.cookies["session"]
            with from_another_site(client):
                page = client.post("/sign-in/callback", data=self.FORM)
            assert client.cookies["session"] == cookie, "the callback has no session, and begins none"
            assert page.headers["cache-control"] == "no-store"
            [(action, inputs)] = re.findall(r'<form method="post" action="(.+?)">(.*?)<button>', page.text)
            form = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="(.*?)"', inputs)}
            assert form == {"code": '"><b>&', "state": "123"}
            assert client.post(action, data=form).json() == {"user": "ann"}
            assert client.cookies["session"] != cookie
            assert client.get("/").json() == {"cart": "tea", "user": "ann"}
            assert client.post(action, data=form).status_code == 400, "a state counts once"

    def test_another_sites_form_signs_nobody_in(self, run: Run) -> None:
        with TestClient(run("cross-site-sign-in.md")["app"]) as client:
            assert client.post("/sign-in/finish", data={"code": "1"}).status_code == 400
            assert client.post("/sign-in/finish", data=self.FORM).status_code == 400
            assert not client.cookies


def test_a_test_can_move_time(run: Run) -> None:
    run("testing.md")["test_a_session_ends_after_ten_minutes_without_use"]()
