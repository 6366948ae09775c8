"""examples/fastapi_app, used as people and browsers use it."""

from __future__ import annotations

import html
import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from examples.fastapi_app import accounts, cart, devices, live, step_up
from examples.fastapi_app import sign_in as sign_in_out
from examples.fastapi_app.accounts import Accounts
from examples.fastapi_app.main import NAME, PASSWORD, create_app
from examples.fastapi_app.pages import local
from starlette_sessions_ext import SQLiteStore
from starlette_sessions_ext.testing import FakeClock, session_of, sign_in
from tests.support.redis_server import VALKEY, running_redis

ANN = 1
TIMES = "\N{MULTIPLICATION SIGN}"
NEW_PASSWORD = "a pot of black tea"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
OUT_OF_DATE = "The form was out of date, so nothing was changed. Please try again."
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1"

Browse = Callable[[str], TestClient]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setattr(accounts, "_N", 2)  # another test covers the cost of scrypt
    mimetypes.init()  # for files of /static; it reads the disk once
    return create_app(SQLiteStore(tmp_path / "sessions.db", clock=clock), Accounts(tmp_path / "accounts.db"), clock)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, headers={"user-agent": FIREFOX}) as client:
        yield client


@pytest.fixture
def other(app: FastAPI, client: TestClient) -> TestClient:
    """A second device of Ann's."""
    other = TestClient(app, headers={"user-agent": SAFARI})
    submit(other, "/sign-in", name=NAME, password=PASSWORD)
    return other


def submit(client: TestClient, page: str, action: str | None = None, **fields: str) -> httpx.Response:
    """Open a page and send one of its forms, with the hidden fields that it has."""
    shown = client.get(page)
    form = re.search(rf'<form[^>]* action="{re.escape(action or page)}">(.*?)</form>', shown.text, re.DOTALL)
    assert form, shown.text
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[1])
    headers = {"referer": str(shown.url)}
    response: httpx.Response = client.post(action or page, data={**dict(hidden), **fields}, headers=headers)
    return response


def token_of(client: TestClient) -> str:
    """Return the token that the forms of this client have."""
    client.get("/")
    with session_of(client) as session:
        token: str = session["csrf_token"]
    return token


def notes(page: httpx.Response) -> list[str]:
    """Return what the page says: flash messages, and errors of a form."""
    return [html.unescape(text) for text in re.findall(r'role="(?:status|alert)">(.*?)</p>', page.text)]


def listed(page: httpx.Response) -> list[str]:
    return [re.sub(r"<.*?>", "", name).strip() for name in re.findall(r"<h2>(.*?)</h2>", page.text)]


def test_a_name_and_password_sign_in_under_a_new_id_and_keep_the_cart(client: TestClient) -> None:
    assert notes(submit(client, "/", "/cart/add", product="assam")) == ["Assam is in your cart."]
    before = client.cookies["session"]
    page = submit(client, "/sign-in", name=NAME, password=PASSWORD)
    assert (notes(page), page.url.path) == ([f"Welcome, {NAME}."], "/")
    assert f"1 {TIMES} Assam" in page.text
    assert client.cookies["session"] != before
    with session_of(client) as session:
        assert (session["user_id"], session.signed_in_at is not None) == (ANN, True)
    assert notes(client.get("/")) == []


@pytest.mark.parametrize(("name", "password"), [(NAME, "wrong"), ("bob", PASSWORD), ("", "")])
def test_a_wrong_name_or_password_is_said_without_which(client: TestClient, name: str, password: str) -> None:
    page = submit(client, "/sign-in", name=name, password=password)
    assert (page.status_code, notes(page)) == (400, ["The name or the password is wrong."])
    assert f'value="{name}" autocomplete="username"' in page.text
    with session_of(client) as session:
        assert "user_id" not in session


def test_a_page_for_users_asks_to_sign_in_and_is_shown_then(client: TestClient) -> None:
    page = client.get("/devices")
    assert (page.url.path, page.url.params["back"]) == ("/sign-in", "/devices")
    page = submit(client, "/sign-in?back=/devices", "/sign-in", name=NAME, password=PASSWORD)
    assert page.url.path == "/devices"
    assert client.get("/sign-in?back=/password").url.path == "/password"  # signed in already


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "/\t/evil.example", "https://evil.example", ""])
def test_no_link_leads_to_another_site(client: TestClient, path: str) -> None:
    assert local(path) == "/"
    page = submit(client, "/sign-in", name=NAME, password=PASSWORD, back=path)
    assert (page.url.host, page.url.path) == ("testserver", "/")


def test_signing_in_once_more_as_the_same_user_counts(client: TestClient, clock: FakeClock) -> None:
    sign_in(client, ANN)
    clock.advance(301)
    before, signed_in = client.cookies["session"], {"name": NAME, "password": PASSWORD}
    client.post("/sign-in", data={"csrf_token": token_of(client), **signed_in})  # from a tab that had been open
    assert client.cookies["session"] != before
    assert client.get("/password").url.path == "/password"


def test_signing_out_ends_the_session_and_its_cart(client: TestClient) -> None:
    sign_in(client, ANN)
    with session_of(client) as session:
        session["cart"] = {"quantities": {"sencha": 2}}
    signed_in = client.cookies["session"]
    page = submit(client, "/", "/sign-out")
    assert notes(page) == ["You are signed out."]
    assert "It is empty." in page.text
    client.cookies.clear()
    client.cookies.set("session", signed_in)
    assert client.get("/devices").url.path == "/sign-in"


def test_every_form_needs_the_token_of_its_session(client: TestClient) -> None:
    sign_in(client, ANN)
    routes = [*cart.router.routes, *sign_in_out.router.routes, *devices.router.routes, *step_up.router.routes]
    actions = [route.path for route in routes if isinstance(route, APIRoute) and "POST" in (route.methods or ())]
    assert len(actions) == 8
    for action in actions:
        page = client.post(action, data={"product": "assam", "name": NAME, "password": PASSWORD})
        assert (action, page.status_code, notes(page)) == (action, 403, [OUT_OF_DATE])
    with session_of(client) as session:
        assert (session["user_id"], "cart" in session) == (ANN, False)


@pytest.mark.parametrize("token", ["", "another", "é"])
def test_another_token_is_refused(client: TestClient, token: str) -> None:
    assert token_of(client)
    page = client.post("/cart/add", data={"product": "assam", "csrf_token": token})
    assert (page.status_code, notes(page)) == (403, [OUT_OF_DATE])


def test_a_token_from_before_the_sign_in_is_worthless(client: TestClient) -> None:
    before = token_of(client)
    submit(client, "/sign-in", name=NAME, password=PASSWORD)
    assert client.post("/sign-out", data={"csrf_token": before}).status_code == 403


def test_devices_are_listed_and_one_is_signed_out(client: TestClient, other: TestClient, clock: FakeClock) -> None:
    clock.advance(60)
    submit(client, "/sign-in", name=NAME, password=PASSWORD)
    page = client.get("/devices")
    assert listed(page) == ["Firefox on Linux this device", "Safari on iPhone"]
    [action] = re.findall(r'action="(/devices/\w+/sign-out)"', page.text)
    page = submit(client, "/devices", action)
    assert (notes(page), listed(page)) == (["The device is signed out."], ["Firefox on Linux this device"])
    assert other.get("/devices").url.path == "/sign-in"
    assert notes(client.post(action, data={"csrf_token": token_of(client)})) == ["The device was signed out already."]


def test_nobody_signs_out_another_users_device(client: TestClient, other: TestClient) -> None:
    with session_of(other) as session:
        public_id = session.public_id
    sign_in(client, ANN + 1)
    page = client.post(f"/devices/{public_id}/sign-out", data={"csrf_token": token_of(client)})
    assert notes(page) == ["The device was signed out already."]
    assert other.get("/devices").url.path == "/devices"


def test_signing_out_everywhere_else_leaves_this_device(client: TestClient, other: TestClient) -> None:
    submit(client, "/sign-in", name=NAME, password=PASSWORD)
    page = submit(client, "/devices", "/devices/sign-out-others")
    assert notes(page) == ["Signed out on 1 other device."]
    assert listed(page) == ["Firefox on Linux this device"]
    assert "Sign out everywhere else" not in page.text
    assert other.get("/devices").url.path == "/sign-in"


def test_a_sixth_sign_in_ends_the_first(app: FastAPI, client: TestClient, clock: FakeClock) -> None:
    clients = [TestClient(app) for _ in range(6)]
    for one in clients:
        sign_in(one, ANN)
        clock.advance(60)
    assert [one.get("/devices").url.path for one in clients] == ["/sign-in"] + ["/devices"] * 5


def test_the_password_is_asked_for_again_after_five_minutes(client: TestClient, clock: FakeClock) -> None:
    submit(client, "/sign-in", name=NAME, password=PASSWORD)
    clock.advance(300)
    assert client.get("/password").url.path == "/password"
    clock.advance(1)
    page = client.get("/password")
    assert (page.url.path, page.url.params["back"]) == ("/confirm", "/password")
    page = submit(client, "/confirm?back=/password", "/confirm", password="wrong")
    assert (page.status_code, notes(page)) == (400, ["The password is wrong."])
    before = client.cookies["session"]
    page = submit(client, "/confirm?back=/password", "/confirm", password=PASSWORD)
    assert (page.url.path, client.cookies["session"] != before) == ("/password", True)


def test_a_form_that_comes_too_late_leads_back_to_its_page(client: TestClient, clock: FakeClock) -> None:
    submit(client, "/sign-in", name=NAME, password=PASSWORD)
    form = {"csrf_token": token_of(client), "new_password": NEW_PASSWORD}
    clock.advance(301)
    page = client.post("/password", data=form, headers={"referer": "http://testserver/password"})
    assert (page.url.path, page.url.params["back"]) == ("/confirm", "/password")
    assert "New password" not in page.text


def test_a_new_password_signs_out_all_but_this_device(client: TestClient, other: TestClient) -> None:
    submit(client, "/sign-in", name=NAME, password=PASSWORD)
    page = submit(client, "/password", new_password="short")
    assert (page.status_code, notes(page)) == (400, ["The password is too short."])
    stolen = client.cookies["session"]
    page = submit(client, "/password", new_password=NEW_PASSWORD)
    assert notes(page) == ["Your password is changed. All other devices are signed out."]
    assert listed(page) == ["Firefox on Linux this device"]
    assert other.get("/devices").url.path == "/sign-in"
    other.cookies.clear()
    other.cookies.set("session", stolen)
    assert other.get("/devices").url.path == "/sign-in"
    other.cookies.clear()
    assert submit(other, "/sign-in", name=NAME, password=PASSWORD).status_code == 400
    assert submit(other, "/sign-in", name=NAME, password=NEW_PASSWORD).url.path == "/"


def test_the_cart_adds_up_and_forgets_what_is_sold_no_more(client: TestClient) -> None:
    with session_of(client) as session:
        session["cart"] = {"quantities": {"sencha": 19, "matcha": 1}}
    for _ in range(2):
        page = submit(client, "/", "/cart/add", product="sencha")
    assert f"20 {TIMES} Sencha" in page.text
    assert "€178.00" in page.text
    assert "It is empty." in submit(client, "/", "/cart/remove", product="sencha").text
    page = submit(client, "/", "/cart/add", product="coffee")
    assert (page.status_code, notes(page)) == (400, ["There is no such tea."])


def receive_all(socket: WebSocketTestSession) -> None:
    while True:
        socket.receive_json()


def test_a_socket_is_closed_when_its_session_is_revoked(
    client: TestClient, other: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY", 0.01)
    submit(client, "/sign-in", name=NAME, password=PASSWORD)
    with client.websocket_connect("/live", headers={"origin": "http://testserver"}) as socket:
        assert socket.receive_json() == {"devices": 2}
        socket.send_text("what a page may send is ignored")
        submit(other, "/devices", "/devices/sign-out-others")
        with pytest.raises(WebSocketDisconnect) as closed:
            receive_all(socket)
    assert (closed.value.code, closed.value.reason) == (1008, "the session has ended")


def test_a_socket_ends_when_its_page_is_closed(client: TestClient) -> None:
    sign_in(client, ANN)
    with client.websocket_connect("/live") as socket:
        assert socket.receive_json() == {"devices": 1}
    assert client.get("/devices").url.path == "/devices"


@pytest.mark.parametrize(("user", "origin"), [(None, "http://testserver"), (ANN, "http://evil.testserver")])
def test_a_socket_is_for_users_and_pages_of_this_host(client: TestClient, user: int | None, origin: str) -> None:
    if user is not None:
        sign_in(client, user)
    with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)):
        with client.websocket_connect("/live", headers={"origin": origin}):
            pass


def test_what_isnt_there_is_a_page(client: TestClient) -> None:
    page = client.get("/coffee")
    assert (page.status_code, notes(page)) == (404, ["There is no such page."])
    file = client.get("/static/coffee.css")
    assert (file.status_code, file.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert client.get("/static/style.css").status_code == 200


def test_pages_arent_kept_by_caches_and_run_no_inline_scripts(client: TestClient) -> None:
    headers = client.get("/").headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'self';")


def test_passwords_are_hashed_at_the_recommended_cost(tmp_path: Path) -> None:
    stored = Accounts(tmp_path / "accounts.db")
    stored.add(NAME, PASSWORD)
    stored.add(NAME, NEW_PASSWORD)  # the first one stays
    assert stored.check(NAME, PASSWORD) == 1
    assert stored.check(NAME, NEW_PASSWORD) is None
    with stored._database() as database:
        [(password,)] = database.execute("SELECT password FROM account")
    assert password.startswith("16384$8$5$")
    assert PASSWORD not in password


def test_by_default_all_is_kept_in_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with TestClient(create_app()) as client:
        client.get("/")
    assert {path.name for path in tmp_path.iterdir()} >= {"sessions.db", "accounts.db"}


@pytest.mark.slow
def test_the_devices_of_a_user_are_known_to_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_redis(tmp_path, VALKEY) as server:
        monkeypatch.setenv("SESSIONS_URL", server.url)
        monkeypatch.setenv("ACCOUNTS", str(tmp_path / "accounts.db"))
        with TestClient(create_app()) as client:
            other = TestClient(client.app)
            for device in (client, other):
                sign_in(device, ANN)
            assert len(listed(client.get("/devices"))) == 2
            assert notes(submit(client, "/devices", "/devices/sign-out-others")) == ["Signed out on 1 other device."]
            assert other.get("/devices").url.path == "/sign-in"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (FIREFOX, ("Firefox", "Linux")),
        (SAFARI, ("Safari", "iPhone")),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/125.0 Safari/537.36 Edg/125.0", ("Edge", "Windows")),
        ("curl/8.0", ("Unknown browser", None)),
    ],
)
def test_a_device_is_named_by_its_user_agent(agent: str, expected: tuple[Any, ...]) -> None:
    scope = {"headers": [(b"user-agent", agent.encode())], "client": None}
    details = devices.describe_device(scope)
    assert (details["browser"], details["system"], details["address"]) == (*expected, None)
