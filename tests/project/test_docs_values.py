"""What docs/ says of values, typed data, flash messages and test clients is what happens."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from starlette_sessions_ext import InvalidSessionData, JSONSerializer, NotSerializable, Session
from starlette_sessions_ext.testing import session_of, sign_in

from ..support import pages
from ..support.pages import Run
from ..support.pages import run as run


def test_the_message_about_values_is_the_real_one() -> None:
    with pytest.raises(NotSerializable) as caught:
        JSONSerializer().dumps({"prefs": {"seen": datetime(2030, 1, 1)}})
    assert f"\n{caught.value}\n" in (pages.DOCS / "values.md").read_text()


def test_tagged_values_come_back(run: Run) -> None:
    names = run("values.md")
    with TestClient(names["app"]) as client:
        client.get("/add")
        answer = client.get("/").json()
        assert answer["red"] == ["cup"]
        assert answer["year"] > 2025


def test_a_serializer_of_ones_own_works(run: Run) -> None:
    serializer = run("values.md")["CompressedJSON"]()
    for data in ({"a": 1}, {"a": "x" * 5000}):
        raw = serializer.dumps(data)
        assert serializer.loads(raw) == data
        assert len(raw) < 1000


def test_typed_data_is_saved(run: Run) -> None:
    names = run("typed-data.md")
    with TestClient(names["app"]) as client:
        assert client.get("/add?name=tea").json() == {"lines": 1}
        assert client.get("/add?name=milk").json() == {"lines": 2}
        assert client.get("/address").json() == {"street": ""}
        client.get("/address?street=Main")
        assert client.get("/address").json() == {"street": "Main"}
    with TestClient(names["api"]) as client:
        assert client.put("/theme/dark").json() == {"theme": "dark", "page_size": 20}
        with session_of(client) as session:
            assert session["preferences"]["theme"] == "dark"


def test_the_message_about_invalid_data_is_the_real_one(run: Run) -> None:
    cart = run("typed-data.md")["Cart"]
    with pytest.raises(InvalidSessionData) as caught:
        Session(cart={"lines": [{"name": "tea", "count": "1"}]}).typed(cart, key="cart")
    assert f"\n{caught.value}\n" in (pages.DOCS / "typed-data.md").read_text()


def test_flash_messages_are_shown_once(run: Run) -> None:
    names = run("flash-messages.md")
    names["pages"].routes.append(Route("/save", names["save"], methods=["POST"]))
    names["api"].router.routes.append(Route("/save", names["save"], methods=["POST"]))
    for app in (names["app"], names["api"]):
        with TestClient(app) as client:
            assert '<p class="success">Saved</p>' in client.post("/save").text
            assert re.search(r"\S", client.get("/").text) is None


def test_a_test_starts_signed_in(run: Run) -> None:
    names = run("testing.md")
    names["test_a_user_has_a_cart"]()
    names["test_a_new_user_has_an_empty_cart"](sign_in, session_of)
