"""The recipes of docs/: what the pages on handlers, cookies, clocks and serializers say is what happens."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from html import unescape
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from starlette_sessions_ext import EventKind, MemoryStore, SessionEvent, SQLiteStore
from starlette_sessions_ext.testing import FakeClock

from . import pages
from .asgi import Browser, make_app

Run = Callable[[str], dict[str, Any]]
Servers = Callable[..., Awaitable[list[Browser]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Execute the Python of a page."""
    return lambda page: pages.run((pages.DOCS / page).read_text(), tmp_path, monkeypatch)


async def sign_in(request: Request) -> str:
    request.session["user"] = "ann"
    request.state.session.rotate()
    return "ann"


async def sign_out(request: Request) -> None:
    request.state.session.destroy()


async def user(request: Request) -> Any:
    return request.session.get("user")


ROUTES = {"/in": sign_in, "/out": sign_out, "/": user}


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


def browsing(app: Starlette, before: TestClient | None = None) -> TestClient:
    """A browser, with the cookies of the one before, by domain and path."""
    client = TestClient(app, base_url="https://www.example.com")
    for cookie in before.cookies.jar if before is not None else ():
        client.cookies.jar.set_cookie(cookie)
    return client


class TestChangingTheCookie:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({}, {"domain": "example.com"}),
            ({"domain": "example.com"}, {}),
            ({"path": "/shop"}, {}),
            ({}, {"path": "/shop"}),
        ],
    )
    def test_domain_and_path_sign_nobody_out(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        store = MemoryStore()
        events: list[SessionEvent] = []
        routes = {f"/shop{path}": handler for path, handler in ROUTES.items()}
        with browsing(make_app(store, routes, **before)) as client:
            client.get("/shop/in")
        changed = make_app(store, routes, on_event=events.append, **after)
        with browsing(changed, client) as client:
            assert client.get("/shop/").json() == "ann"
            client.get("/shop/in")
            assert len(list(client.cookies.jar)) == 2, "of the place before, and of that now"
            assert client.get("/shop/").json() == "ann"
            assert [event.kind for event in events].count(EventKind.DUPLICATE_COOKIES) == 1
            assert len(list(client.cookies.jar)) == 1
            assert client.get("/shop/").json() == "ann"
            client.get("/shop/out")
            assert not list(client.cookies.jar)
        assert all(row.data.startswith(b"a1 ") for row in store._rows.values()), "no session is left"

    def test_a_new_name_moves_each_session_once(self, run: Run) -> None:
        names = run("changing-the-cookie.md")
        with browsing(make_app(names["store"], ROUTES, secret_key=names["secret"])) as client:
            client.get("/in")
        copy = client.cookies["session"]
        with browsing(names["app"], client) as client:
            assert [client.get("/").json() for _ in range(2)] == [{"user": "ann"}] * 2
            assert [cookie.name for cookie in client.cookies.jar] == ["__Host-session"]
            client.cookies.clear()
            client.cookies.set("session", copy)
            assert client.get("/").json() == {"user": None}

    @pytest.mark.anyio
    async def test_of_parallel_requests_one_moves_the_session(self, run: Run) -> None:
        names = run("changing-the-cookie.md")
        browser = Browser(make_app(names["store"], ROUTES, secret_key=names["secret"]), "https")
        await browser.get("/in")
        users: list[Any] = []

        async def ask(tab: Browser) -> None:
            users.append((await tab.get("/")).json()["user"])

        browser.app = names["app"]
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, browser.tab())
        assert sorted(users, key=str) == [None] * 4 + ["ann"]


class TestSeveralApplications:
    def test_each_has_its_own_session(self, run: Run) -> None:
        with TestClient(run("several-applications.md")["app"]) as client:
            assert [client.get("/shop/").json() for _ in range(2)] == [1, 2]
            assert client.get("/admin/").json() == 1

    def test_a_cookie_of_one_name_opens_nothing_under_another(self) -> None:
        store = MemoryStore()
        shop = make_app(store, ROUTES, session_cookie="shop_session")
        with TestClient(shop) as client:
            client.get("/in")
        value = client.cookies["shop_session"]
        with TestClient(make_app(store, ROUTES, session_cookie="admin_session")) as client:
            client.cookies.set("admin_session", value)
            assert client.get("/").json() is None

    @pytest.mark.parametrize("shared", [True, False], ids=["one store", "two stores"])
    def test_one_sign_in_takes_one_name_one_secret_and_one_store(self, shared: bool) -> None:
        store = MemoryStore()
        with TestClient(make_app(store, ROUTES)) as client:
            client.get("/in")
        value = client.cookies["session"]
        with TestClient(make_app(store if shared else MemoryStore(), ROUTES)) as client:
            client.cookies.set("session", value)
            assert client.get("/").json() == ("ann" if shared else None)


class TestChangingSerializers:
    @pytest.mark.parametrize("steps", [("before", "first"), ("first", "second")])
    def test_workers_of_two_deployments_read_each_others_sessions(self, run: Run, steps: tuple[str, str]) -> None:
        kind = run("changing-serializers.md")["CompressedJSON"]
        serializers = {"before": None, "first": kind(compresses=False), "second": kind(compresses=True)}
        store = MemoryStore()
        events: list[SessionEvent] = []
        one, other = (make_app(store, ROUTES, serializer=serializers[step], on_event=events.append) for step in steps)
        for old, new in ((one, other), (other, one)):
            with browsing(old) as client:
                client.get("/in")
            with browsing(new, client) as client:
                assert client.get("/").json() == "ann"
                client.get("/in")
            with browsing(old, client) as client:
                assert client.get("/").json() == "ann"
        assert EventKind.CORRUPT not in {event.kind for event in events}

    def test_in_one_step_users_would_be_signed_out(self, run: Run) -> None:
        store = MemoryStore()
        events: list[SessionEvent] = []
        with browsing(
            make_app(store, ROUTES, serializer=run("changing-serializers.md")["CompressedJSON"](compresses=True))
        ) as client:
            client.get("/in")
        with browsing(make_app(store, ROUTES, on_event=events.append), client) as client:
            assert client.get("/").json() is None
        assert [event.kind for event in events] == [EventKind.CORRUPT]


def test_a_test_can_move_time(run: Run) -> None:
    run("testing.md")["test_a_session_ends_after_ten_minutes_without_use"]()


@pytest.mark.anyio
class TestClocks:
    """Two servers with one store, and clocks that differ by `skew` seconds. The first has the right time."""

    @pytest.fixture
    async def servers(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Servers]:
        async with AsyncExitStack() as stores:

            async def make(skew: float, **options: Any) -> list[Browser]:
                browsers, cookies = [], dict[str, str]()
                for now in (clock, lambda: clock() + skew):
                    store = await stores.enter_async_context(SQLiteStore(tmp_path / "sessions.db", clock=now))
                    app = make_app(store, {**ROUTES, "/renew": renew}, clock=now, **options)
                    browsers.append(Browser(app, cookies=cookies))
                return browsers

            yield make

    @pytest.mark.parametrize(("skew", "lives"), [(5, 595), (-5, 605), (60, 540), (-60, 660), (3600, 0)])
    async def test_expiry_is_early_or_late_by_the_skew(
        self, servers: Servers, clock: FakeClock, skew: int, lives: int
    ) -> None:
        right, wrong = await servers(skew, idle_timeout=600)
        await right.get("/in")
        clock.advance(lives)
        assert (await wrong.get("/")).json() is None
        clock.advance(-1)
        assert (await wrong.get("/")).json() == (None if skew == 3600 else "ann")

    @pytest.mark.parametrize(("skew", "found"), [(5, "ann"), (-5, "ann"), (60, None), (-61, None)])
    async def test_an_old_id_is_found_if_the_clocks_are_close(
        self, servers: Servers, skew: int, found: str | None
    ) -> None:
        right, wrong = await servers(skew)
        await right.get("/in")
        late = wrong.tab()
        await right.get("/renew")
        assert (await late.get("/")).json() == found

    async def test_a_clock_that_is_set_back_reopens_sessions_and_no_old_ids(
        self, servers: Servers, clock: FakeClock
    ) -> None:
        browser, _ = await servers(0, idle_timeout=600)
        await browser.get("/in")
        late = browser.tab()
        await browser.get("/renew")
        clock.advance(600)
        assert (await browser.get("/")).json() is None
        clock.advance(-3600)
        assert (await browser.get("/")).json() == "ann"
        assert (await late.get("/")).json() is None

    async def test_the_next_use_corrects_what_was_written_ahead_of_time(
        self, servers: Servers, clock: FakeClock
    ) -> None:
        right, wrong = await servers(3600, idle_timeout=600)
        await wrong.get("/in")
        await right.get("/")
        clock.advance(600)
        assert (await right.get("/")).json() is None


async def renew(request: Request) -> None:
    request.state.session.rotate(grace=10)
