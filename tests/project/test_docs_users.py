"""docs/users.md, clicked through: signing in, devices, revocation, step-up, and what the page says of the stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import starlette_sessions_ext
from starlette_sessions_ext._core.sign_in_details import MAX_BYTES
from starlette_sessions_ext.testing import FakeClock

from ..support import pages
from ..support.pages import Run
from ..support.pages import run as run

PAGE = (pages.DOCS / "users.md").read_text()
ANN = {"name": "ann", "password": "correct horse"}


@pytest.fixture
def names(run: Run) -> dict[str, Any]:
    return run("users.md")


@pytest.fixture
def clock(names: dict[str, Any]) -> FakeClock:
    clock = FakeClock()
    for app in (names["app"], names["pages"]):
        app.user_middleware[0].kwargs["clock"] = clock
        app.user_middleware[0].kwargs["store"]._clock = clock
    return clock


@pytest.fixture
def client(names: dict[str, Any], clock: FakeClock) -> Iterator[TestClient]:
    with TestClient(names["app"]) as client:
        yield client


def another_device(client: TestClient, browser: str) -> TestClient:
    """A client of the same application, signed in as ann."""
    device = TestClient(client.app, headers={"User-Agent": browser})
    assert device.post("/sign-in", params=ANN).status_code == 200
    return device


def test_signing_in_gives_a_new_id(client: TestClient) -> None:
    assert client.get("/account").status_code == 401
    assert client.post("/sign-in", params={**ANN, "password": "guessed"}).status_code == 403
    client.post("/sign-in", params=ANN)
    first = client.cookies["session"]
    assert client.get("/account").json()["user"] == 42
    client.post("/sign-out")
    client.post("/sign-in", params=ANN)
    assert client.cookies["session"] != first


def test_devices_are_listed_and_signed_out(client: TestClient, clock: FakeClock) -> None:
    client.headers["User-Agent"] = "a laptop"
    client.post("/sign-in", params=ANN)
    clock.advance(60)
    phone, tablet = another_device(client, "a phone"), another_device(client, "a tablet")
    listed = client.get("/devices").json()
    assert {one["browser"]: one["this_device"] for one in listed} == {
        "a laptop": True,
        "a phone": False,
        "a tablet": False,
    }
    [of_phone] = [one["id"] for one in listed if one["browser"] == "a phone"]
    assert client.post(f"/devices/{of_phone}/sign-out").json() == {"signed_out": True}
    assert client.post(f"/devices/{of_phone}/sign-out").json() == {"signed_out": False}
    assert phone.get("/account").status_code == 401
    assert tablet.get("/account").status_code == 200
    assert client.post("/devices/sign-out-others").json() == {"signed_out": 1}
    assert tablet.get("/account").status_code == 401
    assert client.get("/account").status_code == 200


def test_a_socket_ends_with_its_session(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/news"):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, "sign_in_required")
    client.post("/sign-in", params=ANN)
    laptop = another_device(client, "a laptop")
    with client.websocket_connect("/news") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "42: hello"
        laptop.post("/devices/sign-out-others")
        socket.send_text("still there?")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert (closed.value.code, closed.value.reason) == (1008, "signed out")


def test_the_oldest_of_eleven_sessions_ends(client: TestClient, clock: FakeClock) -> None:
    client.post("/sign-in", params=ANN)
    for number in range(10):
        clock.advance(1)
        another_device(client, str(number))
    assert client.get("/account").status_code == 401


def test_step_up_asks_for_the_password_again(client: TestClient, clock: FakeClock) -> None:
    rows = re.findall(r"^\| 401 \| .+? \| `(.+?)` \| `(.+?)` \|$", PAGE, flags=re.MULTILINE)

    def refusal() -> tuple[str, str]:
        answer = client.post("/payment")
        assert answer.status_code == 401
        return answer.json()["detail"], answer.headers["www-authenticate"]

    assert refusal() == rows[0]
    client.post("/sign-in", params=ANN)
    assert client.post("/payment").json() == {"paid": True}
    clock.advance(301)
    assert refusal() == rows[1]
    assert client.post("/confirm-password", params={**ANN, "password": "guessed"}).status_code == 403
    assert refusal() == rows[1]
    signed_in = client.get("/account").json()["signed_in_at"]
    client.post("/confirm-password", params=ANN)
    assert client.post("/payment").json() == {"paid": True}
    assert client.get("/account").json()["signed_in_at"] == signed_in + 301


def test_starlettes_endpoints_are_decorated(names: dict[str, Any], client: TestClient, clock: FakeClock) -> None:
    client.post("/sign-in", params=ANN)
    with TestClient(names["pages"], cookies=client.cookies) as pages_client:
        assert pages_client.get("/address").json() == {"user": "42"}
        clock.advance(301)
        assert pages_client.get("/address").status_code == 401


def test_a_job_signs_a_user_out(run: Run) -> None:
    names = run("users.md")
    with TestClient(names["app"]) as client:
        client.post("/sign-in", params=ANN)
        assert anyio.run(names["lock_account"], 43) == 0
        assert client.get("/account").status_code == 200
        assert anyio.run(names["lock_account"], 42) == 1
        assert client.get("/account").status_code == 401


def test_every_store_is_in_the_table() -> None:
    rows = set(re.findall(r"`(\w+Store)`", pages.sections(PAGE)["Which stores keep users, and what older tables need"]))
    stores = {name for name in starlette_sessions_ext.__all__ if name.endswith("Store")} - {"SessionStore"}
    assert rows == stores
    for name in stores - {"MigratingStore", "EncryptedStore"}:  # they keep what the stores inside keep
        assert hasattr(getattr(starlette_sessions_ext, name), "keys_of"), name
    assert (pages.ROOT / "migrations" / "0003_owner.sql").is_file()


def test_details_may_take_as_many_bytes_as_the_page_says() -> None:
    assert f"up to {MAX_BYTES:,} bytes of JSON" in PAGE
