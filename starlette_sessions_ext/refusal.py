"""The answer where a session is needed and its store can't be reached."""

from __future__ import annotations

from starlette.types import Scope, Send

RETRY_AFTER = 5
"""Seconds that a 503 asks clients to wait: a store that restarts is back by then."""


async def refuse(scope: Scope, send: Send) -> None:
    """Answer 503 (RFC 9110, 15.6.4), which says nothing about the cookie, so that it stays as it is.

    A WebSocket is closed with 1013, "try again later", where the server can't send such an answer.
    """
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1013, "reason": "session store unavailable"})
        return
    prefix = "websocket." if scope["type"] == "websocket" else ""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"retry-after", str(RETRY_AFTER).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{prefix}http.response.start", "status": 503, "headers": headers})
    await send(
        {"type": f"{prefix}http.response.body", "body": b"Sessions are unavailable for a moment. Please try again."}
    )
