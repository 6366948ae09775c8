"""examples/demo without its page: what the two shops answer, and what the socket sends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from examples.demo import live, shop
from examples.demo.cookies import COOKIES
from examples.demo.main import create_app
from examples.demo.switched_store import SwitchedStore
from starlette_sessions_ext import MemoryStore, SQLiteStore
from starlette_sessions_ext.testing import FakeClock, StoreContract
from tests.support import pages
from tests.support.asyncio_only import anyio_backend as anyio_backend

NOTES = {"delivery_note": "Ring twice", "gift_message": "Happy birthday"}

Sides = pytest.mark.parametrize("side", COOKIES)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(SQLiteStore(tmp_path / "demo.db"))


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def other(app: FastAPI, client: TestClient) -> TestClient:
    """Another device."""
    other = TestClient(app, headers={"host": "localhost"})
    other.portal = client.portal  # on the event loop of the same server
    return other


def show(client: TestClient, side: str) -> dict[str, Any]:
    shown: dict[str, Any] = client.get(f"/{side}/shop").json()
    return shown


def sign_in(client: TestClient, side: str = "server", name: str = "Ann") -> None:
    assert client.post(f"/{side}/sign-in", json={"name": name}).status_code == 204


def until_devices(socket: WebSocketTestSession, *hosts: str) -> list[dict[str, Any]]:
    """Receive states until these devices are signed in, and return them."""
    while True:
        devices: list[dict[str, Any]] | None = socket.receive_json()["devices"]
        if devices is not None and sorted(device["host"] for device in devices) == sorted(hosts):
            return devices


def until_closed(socket: WebSocketTestSession) -> WebSocketDisconnect:
    """Receive states until the server closes the socket."""
    try:
        while True:
            socket.receive_json()
    except WebSocketDisconnect as closed:
        return closed


@Sides
def test_both_shops_keep_what_one_request_changes(client: TestClient, side: str) -> None:
    for product in ("tea", "tea", "mug"):
        client.post(f"/{side}/cart", json={"product": product})
    for key, text in NOTES.items():
        client.put(f"/{side}/notes/{key}", json={"text": f" {text} "})
    sign_in(client, side)
    shown = show(client, side)
    assert shown["cart"] == [{"name": "Green tea", "quantity": 2}, {"name": "Clay mug", "quantity": 1}]
    assert (shown["user"], shown["cents"], shown["notes"]) == ("Ann", 3200, NOTES)
    client.delete(f"/{side}/session")
    assert (show(client, side)["user"], show(client, side)["cart"]) == (None, [])


@Sides
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "sign-in", {"name": "  "}),
        ("POST", "sign-in", {"name": "A" * 81}),
        ("POST", "cart", {"product": "coffee"}),
        ("PUT", "notes/delivery_note", {"text": "x" * 81}),
        ("PUT", "notes/user", {"text": "Ann"}),
    ],
)
def test_wrong_input_is_refused(client: TestClient, side: str, method: str, path: str, body: dict[str, str]) -> None:
    before = show(client, side)
    assert client.request(method, f"/{side}/{path}", json=body).status_code == 422
    assert show(client, side) == before


def test_a_cart_has_an_end(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "MOST_OF_ONE", 2)
    for _ in range(3):
        client.post("/server/cart", json={"product": "tea"})
    assert show(client, "server")["cart"] == [{"name": "Green tea", "quantity": 2}]


@pytest.mark.parametrize(("side", "kept"), [("server", 2), ("cookie", 1)])
def test_two_parallel_saves(client: TestClient, side: str, kept: int) -> None:
    sign_in(client, side)  # a session that both requests have

    def save(note: tuple[str, str]) -> int:
        return client.put(f"/{side}/notes/{note[0]}?pair=1", json={"text": note[1]}).status_code

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(save, NOTES.items())) == [204, 204]
    notes = show(client, side)["notes"]
    assert sum(notes[key] == text for key, text in NOTES.items()) == kept
    assert shop.barriers == {}


def test_half_of_a_pair_is_refused_after_a_while(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "OTHER_WITHIN", 0.01)
    assert client.put("/server/notes/delivery_note?pair=1", json={"text": "x"}).status_code == 408
    assert show(client, "server")["notes"]["delivery_note"] == ""
    assert shop.barriers == {}


@pytest.mark.parametrize(("side", "user"), [("server", None), ("cookie", "Ann")])
def test_a_copied_cookie_after_the_sign_out(client: TestClient, side: str, user: str | None) -> None:
    sign_in(client, side)
    signed_in = client.cookies[COOKIES[side]]
    client.put("/cookies/copy")
    client.delete(f"/{side}/session")
    assert COOKIES[side] not in client.cookies
    client.put("/cookies/restore")
    assert list(client.cookies) == [*COOKIES.values()]
    assert client.cookies[COOKIES[side]] == signed_in
    assert show(client, side)["user"] == user


def test_cookies_are_measured_and_never_shown(client: TestClient) -> None:
    assert client.get("/cookies").json() == {"server": 0, "cookie": 0}
    for side in COOKIES:
        sign_in(client, side)
    sizes = client.get("/cookies").json()
    assert sizes == {side: len(client.cookies[name]) for side, name in COOKIES.items()}
    for side in COOKIES:
        client.put(f"/{side}/notes/gift_message", json={"text": "x" * 80})
    assert client.get("/cookies").json()["server"] == sizes["server"]
    assert client.get("/cookies").json()["cookie"] > sizes["cookie"] + 80
    copied = client.put("/cookies/copy").headers.get_list("set-cookie")
    assert len(copied) == 2
    assert all("HttpOnly" in cookie for cookie in copied)


def test_while_the_store_is_stopped_requests_get_503_and_lose_nothing(client: TestClient, other: TestClient) -> None:
    for side in COOKIES:
        client.post(f"/{side}/cart", json={"product": "tea"})
    client.put("/store", json={"running": False})
    assert client.get("/store").json() == {"running": False}
    answer = client.post("/server/cart", json={"product": "tea"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert client.post("/cookie/cart", json={"product": "tea"}).status_code == 204  # it has no store
    assert other.get("/server/shop").status_code == 200  # a visitor without a session asks no store
    assert other.post("/server/cart", json={"product": "tea"}).status_code == 503
    assert client.get("/").status_code == 200
    client.put("/store", json={"running": True})
    assert client.post("/server/cart", json={"product": "tea"}).status_code == 204
    assert show(client, "server")["cart"] == [{"name": "Green tea", "quantity": 2}]


def test_a_sign_out_of_another_device_closes_its_socket_at_once(
    client: TestClient, other: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY", 3600)
    sign_in(client)
    with client.websocket_connect("/server/live") as socket:
        until_devices(socket, "testserver")
        sign_in(other)
        devices = until_devices(socket, "testserver", "localhost")
        assert [device["is_current"] for device in devices] == [True, False]
        with other.websocket_connect("/server/live", headers={"host": "localhost"}) as others_socket:
            until_devices(others_socket, "testserver", "localhost")
            assert client.delete(f"/server/devices/{devices[1]['id']}").status_code == 204
            closed = until_closed(others_socket)
        until_devices(socket, "testserver")
    assert (closed.code, closed.reason) == (1008, "the session has ended")
    assert (show(other, "server")["user"], show(client, "server")["user"]) == (None, "Ann")


def test_all_others_are_signed_out(client: TestClient, other: TestClient) -> None:
    for device in (client, other):
        sign_in(device)
    assert client.delete("/server/devices").status_code == 204
    assert (show(other, "server")["user"], show(client, "server")["user"]) == (None, "Ann")


def test_devices_are_those_of_one_user(client: TestClient, other: TestClient) -> None:
    sign_in(client)
    sign_in(other, name="Ben")
    with client.websocket_connect("/server/live") as socket:
        [device] = until_devices(socket, "testserver")
    other.delete(f"/server/devices/{device['id']}")
    assert show(client, "server")["user"] == "Ann"
    client.cookies.clear()
    assert client.delete("/server/devices").status_code == 401


@pytest.mark.anyio
async def test_a_session_that_ends_elsewhere_is_noticed(
    app: FastAPI, client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY", 0.01)
    sign_in(client)
    async with SQLiteStore(tmp_path / "demo.db") as store:  # of another process, such as `sessions-ext revoke`
        with client.websocket_connect("/server/live") as socket:
            until_devices(socket, "testserver")
            [key] = [key async for key in store.all_keys()]
            await store.delete(key)
            assert until_closed(socket).code == 1008


def test_a_socket_outlives_an_outage(client: TestClient) -> None:
    sign_in(client)
    with client.websocket_connect("/server/live") as socket:
        until_devices(socket, "testserver")
        client.put("/store", json={"running": False})
        stopped = socket.receive_json()
        client.put("/store", json={"running": True})
        running = socket.receive_json()
    assert (stopped["running"], stopped["devices"]) == (False, None)
    assert (running["running"], [device["host"] for device in running["devices"]]) == (True, ["testserver"])
    assert [event["kind"] for event in running["events"]] == ["created"]


def test_the_socket_reports_events(client: TestClient) -> None:
    with client.websocket_connect("/server/live") as socket:
        assert socket.receive_json() == {"running": True, "devices": [], "events": []}
        client.post("/server/cart", json={"product": "tea"})
        sign_in(client)
        events: list[dict[str, Any]] = []
        while len(events) < 2:
            events = socket.receive_json()["events"]
    assert [event["kind"] for event in events] == ["rotated", "created"]
    assert len({event["session"] for event in events}) == 1
    assert not any(cookie in json.dumps(events) for cookie in client.cookies.values())


def test_a_socket_is_for_pages_of_this_host(client: TestClient) -> None:
    with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)):
        with client.websocket_connect("/server/live", headers={"origin": "http://evil.example"}):
            pass


def test_the_page_fetches_nothing_from_elsewhere(client: TestClient) -> None:
    static = pages.ROOT / "examples" / "demo" / "static"
    assert client.get("/").text == (static / "index.html").read_text()
    for path in static.iterdir():
        assert client.get(f"/{path.name}").status_code == 200
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text


@pytest.mark.anyio
class TestSwitchedStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[SwitchedStore]:
        async with SwitchedStore(MemoryStore(clock=clock)) as store:
            yield store
