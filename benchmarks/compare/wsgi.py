"""The application for Flask-Session and for Django, which answer in threads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import flask
import flask_session
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path as django_path
from redis import Redis

from .gate import gate

urlpatterns: list[Any] = []  # Django's, by the name of this module


def handlers(session_of: Callable[[], Any], query_of: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """What all applications do."""

    def slow() -> None:
        session_of().get("first")
        gate.wait()
        session_of().update(query_of())

    def slow_read() -> None:
        session_of().get("first")
        gate.wait()

    return {
        "get": lambda: dict(session_of().items()),
        "set": lambda: session_of().update(query_of()),
        "slow": slow,
        "slow-read": slow_read,
        "sign-in": lambda: session_of().update({"user": 42}),
        "cart": lambda: session_of().update({"cart": []}),
        "append": lambda: session_of()["cart"].append("tea"),
    }


def flask_sessions(url: str) -> Any:
    app = flask.Flask("compare")
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(url))
    flask_session.Session(app)
    for name, handle in handlers(lambda: flask.session, lambda: flask.request.args.to_dict()).items():
        app.add_url_rule(f"/{name}", name, lambda handle=handle: flask.jsonify(handle()))

    def sign_out() -> Any:
        flask.session.clear()
        return flask.jsonify(None)

    app.add_url_rule("/sign-out", "sign-out", sign_out)

    def stream() -> Any:
        def body() -> Iterator[str]:
            yield "one"
            flask.session["streamed"] = 1

        return flask.Response(flask.stream_with_context(body()))

    app.add_url_rule("/stream", "stream", stream)
    return app


def django_sessions(url: str) -> Any:
    """Django's default: sessions in the database, here SQLite."""
    database = Path(tempfile.mkdtemp()) / "django.db"
    settings.configure(
        SECRET_KEY="a secret of more than 16 bytes",  # noqa: S106 - for nothing else
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}},
        INSTALLED_APPS=["django.contrib.sessions"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    )
    django.setup()
    call_command("migrate", verbosity=0)

    def view(name: str) -> Callable[[HttpRequest], HttpResponse]:
        def respond(request: HttpRequest) -> HttpResponse:
            handle = handlers(lambda: request.session, request.GET.dict)[name]
            return HttpResponse(json.dumps(handle()))

        return respond

    def sign_out(request: HttpRequest) -> HttpResponse:
        request.session.flush()
        return HttpResponse()

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        def body() -> Iterator[str]:
            yield "one"
            request.session["streamed"] = 1

        return StreamingHttpResponse(body())

    names = handlers(dict, dict)
    urlpatterns.extend(django_path(name, view(name)) for name in names)
    urlpatterns.extend([django_path("sign-out", sign_out), django_path("stream", stream)])
    return get_wsgi_application()
