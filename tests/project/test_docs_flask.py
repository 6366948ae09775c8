"""docs/moving-from-flask.md: a session that Flask-Session has made becomes one of ours."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from flask_session import Session as FlaskSession
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from starlette.testclient import TestClient

from ..support.pages import Run
from ..support.pages import run as run


@pytest.fixture
def flask_cookie(redis_url: str) -> str:
    """The cookie of a user who is signed in to a Flask application."""
    app = flask.Flask("shop")
    with Redis.from_url(redis_url) as client:
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_PERMANENT=True)
        FlaskSession(app)

        def sign_in() -> str:
            flask.session["user_id"] = 42
            return ""

        app.add_url_rule("/sign-in", "sign-in", sign_in)
        visitor = app.test_client()
        visitor.get("/sign-in")
        value: str = visitor.get_cookie("session").value
        return value


@pytest.fixture
def app(run: Run, redis_url: str) -> Any:
    return run("moving-from-flask.md")["make_app"](AsyncRedis.from_url(redis_url))


def test_the_user_stays_signed_in(app: Any, flask_cookie: str) -> None:
    with TestClient(app, base_url="https://testserver", cookies={"session": flask_cookie}) as client:
        assert client.get("/whoami").json() == {"user": 42}
        assert "__Host-session" in client.cookies
        del client.cookies["session"]
        assert client.get("/whoami").json() == {"user": 42}


def test_after_the_sign_out_the_old_cookie_opens_nothing(app: Any, flask_cookie: str) -> None:
    with TestClient(app, base_url="https://testserver", cookies={"session": flask_cookie}) as client:
        assert client.get("/whoami").json() == {"user": 42}
        client.post("/sign-out")
        assert client.get("/whoami").json() == {"user": None}
        client.cookies.delete("__Host-session")
        assert client.get("/whoami").json() == {"user": None}


def test_an_id_that_redis_doesnt_know_is_nobody(app: Any) -> None:
    with TestClient(app, base_url="https://testserver", cookies={"session": "x" * 43}) as client:
        assert client.get("/whoami").json() == {"user": None}
        assert "__Host-session" not in client.cookies
