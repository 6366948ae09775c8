"""Requests that have no session, and responses that don't save it: `exclude` and `save_if`."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import Scope

from starlette_sessions_ext import ConfigurationError, MemoryStore
from starlette_sessions_ext._http.path_filter import read_exclude
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, Handler, make_app
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio


async def has_session(request: Request) -> Any:
    return "session" in request.scope or "session" in request.scope.get("state", {})


async def view(request: Request) -> Any:
    return dict(request.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.session.update(request.query_params)


@pytest.fixture
def store(clock: FakeClock) -> CountingStore:
    return CountingStore(MemoryStore(clock=clock))


# exclude


@pytest.mark.parametrize(
    ("path", "root_path", "excluded"),
    [
        ("/static", "", True),
        ("/static/", "", True),
        ("/static/logo.png", "", True),
        ("/statics", "", False),
        ("/health", "", True),
        ("/", "", False),
        ("", "", False),
        ("/app/static/x", "", False),
        ("/app/static/x", "/app", True),
        ("/app/static", "/app/", True),
        ("/app", "/app", False),
        ("/static/x", "/app", True),  # where the server took the root path off
        ("/static/x", "/static", False),  # what is mounted there is no static file
        ("/apps/static", "/app", False),
    ],
)
def test_prefixes_match_whole_segments_below_the_root_path(path: str, root_path: str, excluded: bool) -> None:
    for prefixes in (["/static", "/health"], ("/static/", "/health/")):
        excludes = read_exclude(prefixes)
        assert excludes is not None
        assert excludes({"type": "http", "path": path, "root_path": root_path}) is excluded


async def slow_predicate(scope: Scope) -> bool:
    return True


class SlowPredicate:
    async def __call__(self, scope: Scope) -> bool:
        return True


@pytest.mark.parametrize(
    "exclude",
    [
        *("/static", b"/static", [""], ["/"], ["static"], [1], ["/static", "//"], 5, True),
        *(slow_predicate, partial(slow_predicate), SlowPredicate()),
    ],
)
def test_what_cant_be_meant_is_refused(exclude: Any) -> None:
    with pytest.raises(ConfigurationError, match="exclude"):
        make_app(MemoryStore(), {}, exclude=exclude).build_middleware_stack()


async def test_a_skipped_request_has_no_session_and_costs_nothing(store: CountingStore) -> None:
    handlers: dict[str, Handler] = {"/put": put, "/static/x": has_session, "/other": has_session}
    browser = Browser(make_app(store, handlers, exclude=["/static"]))
    await browser.get("/put?a=1")
    store.calls.clear()
    answer = await browser.get("/static/x")
    assert (answer.json(), answer.all("vary"), store.calls) == (False, [], [])
    assert (await browser.get("/other")).json() is True


async def test_a_predicate_sees_the_scope(store: CountingStore) -> None:
    app = make_app(store, {"/x": has_session}, exclude=lambda scope: scope["method"] == "GET")
    assert (await Browser(app).get("/x")).json() is False
    assert (await Browser(app).get("/x", method="POST")).json() is True


async def test_prefixes_are_those_of_a_mounted_application(store: CountingStore) -> None:
    inner = make_app(store, {"/static/x": has_session, "/x": has_session}, exclude=["/static"])
    outer = make_app(store, {}, session_cookie="outer", exclude=lambda scope: True)
    outer.routes.append(Mount("/inner", inner))
    assert (await Browser(outer).get("/inner/static/x")).json() is False
    assert (await Browser(outer).get("/inner/x")).json() is True


# save_if


async def failing(request: Request) -> Any:
    request.session["failed"] = 1
    raise HTTPException(500)


async def failing_after_save(request: Request) -> Any:
    request.session["kept"] = 1
    await request.state.session.save()
    request.session["failed"] = 1
    return JSONResponse({}, 500)


async def failing_and_late(request: Request) -> Any:
    return JSONResponse({}, 500, background=BackgroundTask(request.session.update, late=1))


HANDLERS: dict[str, Handler] = {
    "/": view,
    "/put": put,
    "/fail": failing,
    "/save": failing_after_save,
    "/late": failing_and_late,
}


async def test_by_default_an_error_that_was_handled_saves(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS))
    await browser.get("/put?a=1")
    assert (await browser.get("/fail")).status == 500
    assert (await browser.get("/")).json() == {"a": "1", "failed": 1}


@pytest.mark.parametrize("path", ["/fail", "/late"])
async def test_save_if_drops_what_changed_before_and_after_the_response(store: CountingStore, path: str) -> None:
    browser = Browser(make_app(store, HANDLERS, save_if=lambda status: status < 500))
    assert (await browser.get(path)).set_cookies == []
    assert store.calls == []
    await browser.get("/put?a=1")
    store.calls.clear()
    answer = await browser.get(path)
    assert (answer.status, answer.set_cookies, store.calls) == (500, [], ["load"])
    assert (await browser.get("/")).json() == {"a": "1"}


async def test_what_was_saved_on_purpose_stays_and_gets_its_cookie(store: CountingStore) -> None:
    browser = Browser(make_app(store, HANDLERS, save_if=lambda status: status < 500))
    assert len((await browser.get("/save")).set_cookies) == 1
    assert (await browser.get("/")).json() == {"kept": 1}
