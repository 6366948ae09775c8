"""The examples, clicked through."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from examples import demo
from starlette_sessions_ext import SQLiteStore

EXAMPLES = Path(demo.__file__).parent


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(demo.create_app(SQLiteStore(tmp_path / "demo.db"))) as client:
        yield client


def session_of(page: str) -> dict[str, Any]:
    """What the page's panel says is in the session."""
    panel = re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert panel
    data: dict[str, Any] = json.loads(html.unescape(panel[1]))
    return data


def messages(page: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r'role="(?:alert|status)"[^>]*>(.*?)</p>', page)]


def test_signing_in_changes_the_id_and_keeps_the_cart(client: TestClient) -> None:
    client.get("/")
    before = client.cookies["session"]
    client.post("/cart/add", data={"product": "tea"})
    page = client.post("/sign-in", data={"name": "Ada"}).text
    assert client.cookies["session"] != before
    assert messages(page) == ["Welcome, Ada! Your session has a new id now."]
    assert session_of(page)["user"] == "Ada"
    assert session_of(page)["cart"] == {"items": {"tea": {"quantity": 1}}}
    assert messages(client.get("/").text) == []


def test_an_id_from_before_signing_in_opens_nothing(client: TestClient) -> None:
    client.get("/")
    before = client.cookies["session"]
    client.post("/sign-in", data={"name": "Ada"})
    client.cookies.clear()
    answer = client.get("/", headers={"cookie": f"session={before}"})
    assert (answer.status_code, "Ada" in answer.text) == (409, False)


def test_the_cart_counts_in_place_and_can_be_changed(client: TestClient) -> None:
    for _ in range(3):
        client.post("/cart/add", data={"product": "mug"})
    client.post("/cart/add", data={"product": "tea"})
    page = client.post("/cart/change", data={"product": "tea", "quantity": "2"}).text
    assert session_of(page)["cart"]["items"] == {"mug": {"quantity": 3}, "tea": {"quantity": 2}}
    assert "€70.00" in page
    page = client.post("/cart/change", data={"product": "mug", "quantity": "0"}).text
    assert session_of(page)["cart"]["items"] == {"tea": {"quantity": 2}}


def test_remember_me_gives_the_cookie_a_lifetime(client: TestClient) -> None:
    cookie = client.get("/").headers["set-cookie"]
    assert "Max-Age" not in cookie
    answer = client.post("/sign-in", data={"name": "Ada", "remember": "on"}, follow_redirects=False)
    assert f"Max-Age={30 * 24 * 60 * 60};" in answer.headers["set-cookie"]
    page = client.get("/").text
    assert "in 30 days" in page
    assert "kept for 30 days" in page
    answer = client.post("/sign-in", data={"name": "Ada"}, follow_redirects=False)
    assert "Max-Age" not in answer.headers["set-cookie"]
    assert "in 30 min" in client.get("/").text


def test_signing_out_ends_the_session(client: TestClient) -> None:
    client.post("/cart/add", data={"product": "tea"})
    client.post("/sign-in", data={"name": "Ada"})
    signed_in = client.cookies["session"]
    page = client.post("/sign-out").text
    assert messages(page) == ["You are signed out. That session is gone, and this is a new one."]
    assert session_of(page) == {"visits": 1}
    client.cookies.clear()
    assert client.get("/", headers={"cookie": f"session={signed_in}"}).status_code == 409


def test_notes_saved_side_by_side_are_both_kept(client: TestClient) -> None:
    client.get("/")

    def save(key: str) -> int:
        return client.post(f"/notes/{key}", data={"note": f"my {key}"}, follow_redirects=False).status_code

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(save, demo.NOTES)) == [303, 303]
    kept = session_of(client.get("/").text)
    assert {key: kept.get(key) for key in demo.NOTES} == {key: f"my {key}" for key in demo.NOTES}


def test_visits_side_by_side_are_all_counted(client: TestClient) -> None:
    client.get("/")
    with ThreadPoolExecutor() as threads:
        assert all(page.is_success for page in threads.map(client.get, ["/"] * 20))
    assert session_of(client.get("/").text)["visits"] == 22


@pytest.mark.parametrize(
    ("url", "form", "message"),
    [
        ("/sign-in", {}, "Please tell us your name."),
        ("/sign-in", {"name": "  "}, "Please tell us your name."),
        ("/sign-in", {"name": "A" * 41}, "At most 40 letters, on one line, please."),
        ("/sign-in", {"name": "A\0da"}, "At most 40 letters, on one line, please."),
        ("/cart/add", {}, "We don't sell that. Please choose something from the shelf."),
        ("/cart/add", {"product": "__class__"}, "We don't sell that. Please choose something from the shelf."),
        ("/cart/change", {"product": "honey", "quantity": "1"}, "That isn't in your cart any more."),
        ("/cart/change", {"product": "tea"}, "Please give a whole number from 0 to 99."),
        ("/cart/change", {"product": "tea", "quantity": "-1"}, "Please give a whole number from 0 to 99."),
        ("/cart/change", {"product": "tea", "quantity": "²"}, "Please give a whole number from 0 to 99."),
        ("/cart/change", {"product": "tea", "quantity": "9" * 5000}, "Please give a whole number from 0 to 99."),
        ("/notes/gift_message", {"note": "x" * 201}, "201 characters are too many: 200 fit on the card."),
        ("/notes/gift_message", {"note": "x" * 2_000_000}, "Field exceeded maximum size of 1024KB."),
    ],
)
def test_wrong_input_gets_a_message_and_loses_nothing(
    client: TestClient, url: str, form: dict[str, str], message: str
) -> None:
    client.post("/cart/add", data={"product": "tea"})
    before = session_of(client.get("/").text)
    answer = client.post(url, data=form)
    assert answer.status_code == 400
    assert messages(answer.text) == [message]
    assert session_of(answer.text) == before


def test_what_was_typed_comes_back_escaped(client: TestClient) -> None:
    note = "<b>" + "\r\n" * 100 + "x" * 200
    page = client.post("/notes/gift_message", data={"note": note}).text
    assert "&lt;b&gt;\n" in page
    assert "<b>" not in page
    page = client.post("/sign-in", data={"name": "A" * 41, "remember": "on"}).text
    assert f'value="{"A" * 41}"' in page
    assert 'name="remember" checked' in page


def test_a_cart_has_an_end(client: TestClient) -> None:
    client.post("/cart/add", data={"product": "tea"})
    client.post("/cart/change", data={"product": "tea", "quantity": "99"})
    answer = client.post("/cart/add", data={"product": "tea"})
    assert messages(answer.text) == ["99 of one thing are all we can carry."]


@pytest.mark.parametrize(
    ("method", "url", "status"), [("GET", "/nowhere", 404), ("POST", "/notes/x", 404), ("GET", "/sign-in", 405)]
)
def test_a_wrong_address_leads_to_the_shop(client: TestClient, method: str, url: str, status: int) -> None:
    answer = client.request(method, url)
    assert answer.status_code == status
    assert messages(answer.text)
    assert "On the shelf" in answer.text


def test_files_are_refused(client: TestClient) -> None:
    answer = client.post("/sign-in", files={"name": ("ada.txt", b"Ada")})
    assert messages(answer.text) == ["Too many files. Maximum number of files is 0."]


def test_moments_are_told_in_words() -> None:
    now = time.time()
    assert [demo.from_now(int(now) + away) for away in (30 * 86400, 86400, 1800, -90000)] == [
        "in 30 days",
        "in 1 day",
        "in 30 min",
        "1 day ago",
    ]
    assert demo.from_now(int(now)) in ("just now", "1 s ago")


def test_the_demo_runs_by_itself_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [sys.executable, EXAMPLES / "demo.py", "--port", port], cwd=tmp_path, capture_output=True, text=True
        )
    assert refused.returncode == 1
    assert f"Port {port} can't be used" in refused.stderr
    assert "--port 8001" in refused.stderr

    running = subprocess.Popen(
        [sys.executable, EXAMPLES / "demo.py"],
        cwd=tmp_path,
        env={**os.environ, "PORT": port, "DEMO_DATABASE": "shop.db"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout
        try:
            assert f"http://127.0.0.1:{port} (sessions in shop.db" in running.stdout.readline()
            with socket.create_connection(("127.0.0.1", int(port))) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert connection.recv(15) == b"HTTP/1.1 200 OK"
        finally:
            running.send_signal(signal.SIGINT)
    assert running.returncode == 0
    assert (tmp_path / "shop.db").exists()


def test_the_quickstart_counts_and_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    from examples import quickstart

    with TestClient(quickstart.app) as client:
        assert [client.get("/").json() for _ in range(3)] == [{"visits": 1}, {"visits": 2}, {"visits": 3}]
    with TestClient(quickstart.app) as stranger:
        assert stranger.get("/").json() == {"visits": 1}
    assert len((EXAMPLES / "quickstart.py").read_text().splitlines()) < 25
