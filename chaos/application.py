"""The application of the workers under faults. Its sessions keep what a history is checked by.

A session has the mark of its owner, a chain of links, and keys that tabs write. The store is named
by the environment.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from starlette_sessions_ext import (
    Session,
    SessionConflict,
    SessionGone,
    SessionStore,
    StoreUnavailable,
    store_from_url,
)
from tests.support.client import Handler, make_app

from .calls import filler

TIMEOUT = "SESSIONS_TEST_TIMEOUT"
IDLE, TOUCH = 60, 1
"""Seconds: short, so that expiries are moved all the time."""


async def start(request: Request) -> Any:
    """/start?owner=mark[&lifetime=seconds]"""
    session = request.state.session
    session.update(owner=request.query_params["owner"], version=0, nonce="", previous="", filler="")
    if "lifetime" in request.query_params:
        session.set_lifetime(int(request.query_params["lifetime"]))
    session.rotate()  # as a sign-in does: the client's id may be one that was replaced a moment ago
    return {"owner": session["owner"]}


async def read(request: Request) -> Any:
    return {"owner": request.state.session["owner"], "state": dict(request.state.session)}


async def put(request: Request) -> Any:
    """/put?key=key&nonce=nonce"""
    _put(request.state.session, **request.query_params)
    return {"owner": request.state.session["owner"]}


async def save(request: Request) -> Any:
    _put(request.state.session, **request.query_params)
    await request.state.session.save()
    return await read(request)


async def link(request: Request) -> Any:
    """/link?nonce=nonce"""
    return await _link(request.state.session, request.query_params["nonce"])


async def rotate(request: Request) -> Any:
    request.state.session.rotate()
    return {"owner": request.state.session["owner"]}


async def renew(request: Request) -> Any:
    """/renew?grace=seconds"""
    request.state.session.renew(grace=int(request.query_params["grace"]))
    return {"owner": request.state.session["owner"]}


async def revoke(request: Request) -> Any:
    """/revoke?owner=mark"""
    await request.state.session.directory.revoke_all(request.query_params["owner"])
    return {}


async def end(request: Request) -> Any:
    owner = request.state.session["owner"]
    request.state.session.destroy()
    return {"owner": owner}


class Abandoned(Exception):
    """A socket ends without the save at its end.

    What was put is in the session still, and would be saved once more: perhaps over what is newer, if the
    save that failed had taken place. A value that comes twice proves nothing.
    """


async def talk(websocket: WebSocket) -> None:
    """Hears `read`, `save key nonce`, `link nonce`, and answers each as the paths above do, with a status."""
    session: Session = websocket.state.session
    if "owner" not in session:
        await websocket.close(4401)
        return
    await websocket.accept()
    async for text in websocket.iter_text():
        kind, *words = text.split()
        try:
            if kind == "link":
                answer = await _link(session, *words)
            else:
                if kind == "save":
                    _put(session, *words)
                await session.save()
                answer = {"owner": session["owner"], "state": dict(session)}
            await websocket.send_json({"status": 200, **answer})
        except SessionGone:
            await websocket.send_json({"status": 410})
        except (SessionConflict, StoreUnavailable):
            await websocket.send_json({"status": 503})
            raise Abandoned from None


def _put(session: Session, key: str, nonce: str) -> None:
    session[f"key {key}"] = session[f"twin of key {key}"] = nonce


async def _link(session: Session, nonce: str) -> dict[str, Any]:
    def add(data: dict[str, Any]) -> dict[str, Any]:
        data.update(version=data["version"] + 1, nonce=nonce, previous=data["nonce"], filler=filler(nonce))
        return dict(data)

    state = await session.atomic(add)
    return {"owner": state["owner"], "state": state}


def _for_owners(handler: Handler) -> Handler:
    """Answer 401 where there is no session, and tell of what wasn't written."""

    async def respond(request: Request) -> Any:
        if "owner" not in request.state.session:
            return JSONResponse({}, 401)
        try:
            return await handler(request)
        except SessionGone:
            return JSONResponse({}, 410)
        except SessionConflict:
            return JSONResponse({}, 409)

    return respond


HANDLERS: dict[str, Handler] = {
    "/start": start,
    "/revoke": revoke,
    **{f"/{handler.__name__}": _for_owners(handler) for handler in (read, put, save, link, rotate, renew, end)},
}


class CancelOnDisconnect:
    """Cancel a request at any point once its client has hung up, as servers and middleware may do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            with suppress(Abandoned):
                await self._app(scope, receive, send)
            return
        request: Message | None = await receive()

        async def receive_message() -> Message:
            nonlocal request
            message, request = request, None
            if message is None:
                await anyio.sleep_forever()
                raise AssertionError("it sleeps until it is cancelled")
            return message

        async with anyio.create_task_group() as group:

            async def listen() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(listen)
            await self._app(scope, receive_message, send)
            group.cancel_scope.cancel()


def make_application(store: SessionStore) -> ASGIApp:
    app = make_app(store, HANDLERS, {"/talk": talk}, user="owner", idle_timeout=IDLE, touch_interval=TOUCH)
    return CancelOnDisconnect(app)


def create_app() -> ASGIApp:
    """The store has its usual timeout, or that which the environment names, in seconds."""
    options = {"timeout": float(os.environ[TIMEOUT])} if TIMEOUT in os.environ else {}
    return make_application(store_from_url(os.environ["SESSIONS"], **options))
