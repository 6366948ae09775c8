"""What a page shows live: events, devices and the store's state, over a WebSocket that ends with its session."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect
from starlette.requests import HTTPConnection

from examples.fastapi_app.live import CHECK_EVERY, POLICY_VIOLATION, check_origin
from starlette_sessions_ext import Session, SessionEvent, SessionGone, StoreUnavailable
from starlette_sessions_ext.fastapi import SessionDep

from .switched_store import SwitchedStore

router = APIRouter()


class Feed:
    """The latest events of all sessions, and the state of the store."""

    def __init__(self, store: SwitchedStore) -> None:
        self.store = store
        self.events: deque[dict[str, Any]] = deque(maxlen=6)
        self.news = asyncio.Event()

    def report(self, event: SessionEvent) -> None:
        """Keep an event for the pages: the option `on_event` of the middleware."""
        name = event.public_id and event.public_id[:6]
        self.events.appendleft({"kind": event.kind.value, "session": name, "at": time.time()})
        self.wake()

    def wake(self) -> None:
        """Let every socket look at once."""
        self.news.set()
        self.news = asyncio.Event()


async def _feed(connection: HTTPConnection) -> Feed:
    feed: Feed = connection.app.state.feed
    return feed


FeedDep = Annotated[Feed, Depends(_feed)]


@router.websocket("/live", dependencies=[Depends(check_origin)])
async def live(websocket: WebSocket, session: SessionDep, feed: FeedDep) -> None:
    await websocket.accept()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_show, websocket, session, feed)
        async for _ in websocket.iter_text():
            pass  # a page sends nothing: this notices that it was closed
        tasks.cancel_scope.cancel()


async def _show(websocket: WebSocket, session: Session, feed: Feed) -> None:
    """Send what has changed, until the session ends.

    A sign-out on this server wakes the sockets. Looking at intervals notices other ends too: `sessions-ext revoke`,
    another process, or the session's expiry.
    """
    shown = None
    with contextlib.suppress(WebSocketDisconnect):
        try:
            while True:
                news = feed.news  # taken before looking, so that nothing is missed
                state = await _state(session, feed)
                if state != shown:
                    await websocket.send_json(state)
                    shown = state
                with anyio.move_on_after(CHECK_EVERY):
                    await news.wait()
        except SessionGone:
            await websocket.close(POLICY_VIOLATION, "the session has ended")


async def _state(session: Session, feed: Feed) -> dict[str, Any]:
    """Return what a page shows. `devices` is None while the store can't be asked. Raises `SessionGone`."""
    running, devices = feed.store.running, None
    if running:  # a save that fails is in doubt, and the next one would report a merge that wasn't
        with contextlib.suppress(StoreUnavailable):
            if not session.is_new:
                await session.save()  # there is nothing to save: it looks whether the session still exists
            devices = await _devices(session)
    return {"running": running, "devices": devices, "events": list(feed.events)}


async def _devices(session: Session) -> list[dict[str, Any]]:
    if "user" not in session:
        return []
    devices = await session.directory.list(session["user"], current=session)
    return [
        {"id": device.public_id, "at": device.signed_in_at, "is_current": device.is_current, **device.details}
        for device in devices
    ]
