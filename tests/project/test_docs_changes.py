"""What docs/ says of changing cookies and serializers, and of sharing them, is what happens."""

from __future__ import annotations

from base64 import b64encode
from datetime import date, timedelta
from typing import Any

import anyio
import pytest
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.testclient import TestClient

from starlette_sessions_ext import EventKind, MemoryStore, SessionEvent, StarletteCookie
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.pages import Run
from ..support.pages import run as run
from ..support.signing_in import ROUTES


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
        assert all(row.data.startswith(b"a") for row in store._rows.values()), "no session is left"

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
    async def test_of_parallel_requests_one_moves_the_session(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        names = run("changing-the-cookie.md")
        store: MemoryStore = names["store"]
        browser = Browser(make_app(store, ROUTES, secret_key=names["secret"]), "https")
        await browser.get("/in")
        users: list[Any] = []
        load, loaded, all_loaded = store.load, [], anyio.Event()

        async def load_together(key: str) -> Any:
            stored = await load(key)
            loaded.append(stored)
            if len(loaded) == 5:
                all_loaded.set()
            await all_loaded.wait()
            return stored

        monkeypatch.setattr(store, "load", load_together)

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
        assert EventKind.RECORD_CORRUPT not in {event.kind for event in events}

    def test_in_one_step_users_would_be_signed_out(self, run: Run) -> None:
        store = MemoryStore()
        events: list[SessionEvent] = []
        with browsing(
            make_app(store, ROUTES, serializer=run("changing-serializers.md")["CompressedJSON"](compresses=True))
        ) as client:
            client.get("/in")
        with browsing(make_app(store, ROUTES, on_event=events.append), client) as client:
            assert client.get("/").json() is None
        assert [event.kind for event in events] == [EventKind.RECORD_CORRUPT]


class TestMovingFromStarlette:
    """Of a user who has had two of Starlette's cookies, an old one and that of now."""

    @staticmethod
    def cookie(signed_at: float) -> str:
        signer = TimestampSigner("starlette's secret")
        signer.get_timestamp = lambda: int(signed_at)  # type: ignore[method-assign]
        return signer.sign(b64encode(b'{"user": "ann"}')).decode()

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("limits", "opens"),
        [({}, True), ({"max_age": timedelta(days=1)}, False), ({"until": date(2020, 1, 1)}, False)],
        ids=["without a limit", "max_age", "until"],
    )
    async def test_an_older_copy_opens_a_session_after_logout(
        self, clock: FakeClock, limits: dict[str, Any], opens: bool
    ) -> None:
        old, new = self.cookie(clock() - 2 * 24 * 3600), self.cookie(clock())
        reader = StarletteCookie("starlette's secret", **limits)
        browser = Browser(make_app(MemoryStore(clock=clock), ROUTES, legacy_cookies=[reader], clock=clock))
        browser.cookies["session"] = new
        await browser.get("/out")
        for copy, is_open in ((new, False), (old, opens)):
            browser.cookies["session"] = copy
            assert (await browser.get("/")).json() == ("ann" if is_open else None)
