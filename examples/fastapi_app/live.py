"""A WebSocket that lives as long as its session: it is closed soon after the session is revoked."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import anyio
from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect, WebSocketException

from starlette_sessions_ext import Session, SessionGone
from starlette_sessions_ext.fastapi import require_session

router = APIRouter()

CHECK_EVERY = 2.0  # seconds; each check is one read of the store for each open socket
POLICY_VIOLATION = 1008


async def check_origin(websocket: WebSocket) -> None:
    """Refuse pages of other hosts: browsers send the cookie with their WebSockets too, if the domain is the same."""
    origin = websocket.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != websocket.headers.get("host"):
        raise WebSocketException(POLICY_VIOLATION)


@router.websocket("/live", dependencies=[Depends(check_origin)])
async def live(websocket: WebSocket, session: Annotated[Session, Depends(require_session())]) -> None:
    """Tell the page on how many devices its user is signed in, until the session ends."""
    await websocket.accept()
    user, last = session["user_id"], None
    try:
        while True:
            await session.save()  # there is nothing to save: it looks whether the session still exists
            count = await session.directory.count(user)
            if count != last:
                await websocket.send_json({"devices": count})
                last = count
            with anyio.move_on_after(CHECK_EVERY):
                await websocket.receive_text()  # a page sends nothing: this waits, and notices that it was closed
    except SessionGone:
        await websocket.close(POLICY_VIOLATION, "the session has ended")
    except WebSocketDisconnect:
        pass
