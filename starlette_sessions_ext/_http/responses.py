"""Answer a request that needs a session while the store can't be reached."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from .._core.options import UnavailableHandler
from ..errors import StoreUnavailable
from ..events import logger

RETRY_AFTER = 5
"""Seconds that a 503 asks clients to wait: a store that restarts is back by then."""

_DETAIL = "Sessions are unavailable for a moment. Please try again."

_JSON = re.compile(r"application/(?:[^\s/;]+\+)?json")
_TEXT = re.compile(r"text/[^\s/;]+")
_WEIGHT = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


def is_disconnect(error: BaseException) -> bool:
    """Return whether an error says that a WebSocket's client has left."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_disconnect, error.exceptions))
    from starlette.websockets import WebSocketDisconnect  # an application with sockets has loaded it

    return isinstance(error, WebSocketDisconnect)


async def send_unavailable(
    error: StoreUnavailable, scope: Scope, receive: Receive, send: Send, handler: UnavailableHandler | None = None
) -> None:
    """Send the response of the application's handler, or a plain one.

    The plain response is for applications without a handler, and for handlers that raise.
    """
    if handler is not None and scope["type"] == "http":
        try:
            response = handler(HTTPConnection(scope, receive), error)
            if inspect.isawaitable(response):
                response = await response
            if not callable(response):
                raise TypeError("it must return a Response")
        except Exception:
            logger.exception("unavailable_handler raised, so the plain 503 is sent")
        else:
            await response(scope, receive, send)
            return
    await send_plain_unavailable(scope, send)


async def send_plain_unavailable(scope: Scope, send: Send) -> None:
    """Answer 503 (RFC 9110, 15.6.4), and leave the cookie as it is.

    The body is text, or FastAPI's `{"detail": "..."}` where the client prefers JSON.
    A WebSocket is closed with 1013, "try again later", where the server can't send such an answer.
    """
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1013, "reason": "session store unavailable"})
        return
    prefix = "websocket." if scope["type"] == "websocket" else ""
    if prefers_json(scope["headers"]):
        content_type, body = b"application/json", json.dumps({"detail": _DETAIL})
    else:
        content_type, body = b"text/plain; charset=utf-8", _DETAIL
    headers = [
        (b"content-type", content_type),
        (b"retry-after", str(RETRY_AFTER).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{prefix}http.response.start", "status": 503, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body.encode()})


def prefers_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request prefers JSON to text (Accept: RFC 9110, 12.5.1).

    Of equal weights the first counts, as clients mean it. A range such as `*/*` asks for neither, and gets text.
    """
    best, is_json = 0.0, False
    accept = b",".join(value for name, value in headers if name == b"accept").decode("latin-1").lower()
    for media_range in accept.split(","):
        kind, *parameters = (part.strip() for part in media_range.split(";"))
        if _JSON.fullmatch(kind) or _TEXT.fullmatch(kind):
            weight = _weight(parameters)
            if weight > best:
                best, is_json = weight, _JSON.fullmatch(kind) is not None
    return is_json


def _weight(parameters: list[str]) -> float:
    """Read the weight of a media range, from 0 to 1; 0 where it isn't well-formed."""
    for parameter in parameters:
        if parameter.startswith("q="):
            match = _WEIGHT.fullmatch(parameter)
            return float(match[1]) if match else 0.0
    return 1.0
