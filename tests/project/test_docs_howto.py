"""The how-to pages, clicked through."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from starlette_sessions_ext.testing import session_of, sign_in

from ..support.pages import Run
from ..support.pages import run as run


class TestCSRF:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, 200),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": "http://testserver"}, 200),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
        ],
    )
    def test_another_origin_changes_nothing(self, run: Run, headers: dict[str, str], status: int) -> None:
        with TestClient(run("csrf.md")["app"]) as client:
            assert client.post("/buy", headers=headers).status_code == status

    def test_a_form_needs_the_token_of_its_session(self, run: Run) -> None:
        with TestClient(run("csrf.md")["shop"]) as client:
            assert client.post("/pay").status_code == 403
            [token] = re.findall(r'value="(.+?)"', client.get("/pay").text)
            assert client.post("/pay", data={"csrf": token}).json() == {"paid": True}
            assert client.post("/pay", headers={"X-CSRF-Token": token}).json() == {"paid": True}
            assert client.post("/pay", data={"csrf": "guessed"}).status_code == 403
            client.cookies.clear()
            assert client.post("/pay", data={"csrf": token}).status_code == 403


def test_a_page_of_another_origin_reads_its_session(run: Run) -> None:
    with TestClient(run("spa.md")["app"], headers={"Origin": "https://app.example.com"}) as client:
        refused = client.get("/me")
        assert (refused.status_code, refused.json()) == (401, {"detail": "sign_in_required"})
        assert refused.headers["access-control-allow-origin"] == "https://app.example.com"
        assert client.post("/sign-in", json={"name": "ann"}).json() == {"user": 42}
        answer = client.get("/me")
        assert answer.json()["user"] == 42
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Cookie" in answer.headers["vary"]
        form = client.post("/sign-in", content='{"name": "ann"}', headers={"Content-Type": "text/plain"})
        assert form.status_code == 422


class TestWebSocketsAndStreams:
    def test_a_chat_saves_what_it_heard(self, run: Run) -> None:
        with TestClient(run("websockets.md")["app"]) as client:
            client.get("/events")
            with client.websocket_connect("/chat") as socket:
                socket.send_text("hello")
                assert socket.receive_text() == "guest: hello"
                assert client.get("/").json() == {"streams": 1, "seen": 3, "name": "guest", "last": "hello"}
                with session_of(client) as session:
                    session.destroy()
                socket.send_text("still there?")
                with pytest.raises(WebSocketDisconnect) as closed:
                    socket.receive_text()
                assert (closed.value.code, closed.value.reason) == (1008, "signed out")

    def test_a_stream_saves_when_it_ends(self, run: Run) -> None:
        with TestClient(run("websockets.md")["app"]) as client:
            assert client.get("/events").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
            assert client.get("/").json() == {"streams": 1, "seen": 3}


def test_who_is_remembered_keeps_the_cookie(run: Run) -> None:
    with TestClient(run("remember-me.md")["app"]) as client:
        answer = client.post("/sign-in")
        assert answer.json() == {"remembered": False}
        assert "max-age" not in answer.headers["set-cookie"].lower()
        answer = client.post("/sign-in", data={"remember": "true"})
        assert answer.json() == {"remembered": True}
        assert "Max-Age=2592000" in answer.headers["set-cookie"]
        answer = client.post("/forget")
        assert answer.json() == {"remembered": False}
        assert "max-age" not in answer.headers["set-cookie"].lower()


class TestBackgroundTasks:
    def test_what_comes_after_the_response_is_saved(self, run: Run) -> None:
        with TestClient(run("background-tasks.md")["app"]) as client:
            assert client.get("/report").json() == {"started": 1}
            assert client.get("/").json() == {"started": 1, "finished": 1, "report": "done"}

    def test_a_task_is_given_a_value(self, run: Run) -> None:
        names = run("background-tasks.md")
        with TestClient(names["app"]) as client:
            sign_in(client, 42)
            client.post("/mail")
            client.get("/")
        assert names["done"] == ["42"]


class TestMountedApplications:
    def test_one_session_for_all(self, run: Run) -> None:
        with TestClient(run("mounted-applications.md")["app"]) as client:
            assert client.get("/visits").json() == {"visits": 1}
            assert client.get("/api/visits").json() == {"visits": 2}
            assert client.get("/api/health", headers={"Cookie": "session=forged"}).json() == {"ok": True}

    def test_the_parents_lifespan_opens_the_store(self, run: Run) -> None:
        names = run("mounted-applications.md")
        with TestClient(names["site"]) as client:
            assert client.get("/shop/visits").json() == {"visits": 1}
            assert client.get("/shop/visits").json() == {"visits": 2}

    def test_two_middlewares_have_two_cookies(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        with TestClient(run("mounted-applications.md")["two"]) as client:
            answer = client.get("/admin/").json()
            assert answer == {"outer": {"outer": True}, "inner": {"inner": True}}
            assert set(client.cookies.keys()) == {"session", "admin_session"}
