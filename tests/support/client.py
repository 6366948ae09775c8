"""A browser for the tests: one request at a time through an ASGI application, nothing in between.

Unlike Starlette's TestClient it runs in the event loop of the test, so that requests can be made
to overlap, and it shows the response's headers as they were sent.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket

from starlette_sessions_ext import SessionMiddleware, SessionStore

SECRET = "a secret of more than 16 bytes"

Handler = Callable[[Request], Awaitable[Any]]
Talk = Callable[[WebSocket], Awaitable[None]]


def make_app(
    store: SessionStore, handlers: Mapping[str, Handler], sockets: Mapping[str, Talk] | None = None, **options: Any
) -> Starlette:
    """An application with sessions: `handlers` by path; what one returns is sent as JSON, or as it is."""

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            result = await handler(request)
            return result if isinstance(result, Response) else JSONResponse(result)

        return respond

    app = Starlette(
        routes=[Route(path, endpoint(handler), methods=["GET", "POST"]) for path, handler in handlers.items()]
    )
    app.routes.extend(WebSocketRoute(path, talk) for path, talk in (sockets or {}).items())
    app.add_middleware(SessionMiddleware, **{"secret_key": SECRET, "store": store, **options})
    return app


@dataclass(slots=True)
class Answer:
    """A response as it was sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """The values of a header, in the order they were sent."""
        return [value.decode() for key, value in self.headers if key.decode().lower() == name]

    @property
    def set_cookies(self) -> list[str]:
        return self.all("set-cookie")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Browser:
    """Keeps cookies by name, as a browser with one site would. `cookies` may be read and set."""

    app: ASGIApp
    scheme: str = "http"
    cookies: dict[str, str] = field(default_factory=dict)
    host: bytes = b"localhost"  # to another one plain http is worth a warning

    def tab(self) -> Browser:
        """Another browser with the same cookies as of now; what it is sent stays its own."""
        return Browser(self.app, self.scheme, dict(self.cookies), self.host)

    async def get(
        self,
        path: str,
        *,
        cookie_headers: list[bytes] | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        method: str = "GET",
    ) -> Answer:
        """Ask for `path`. `cookie_headers` are sent in place of the browser's own cookies."""
        if cookie_headers is None:
            cookie_headers = ["; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()]
        answer = Answer(0, [])

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [(bytes(key), bytes(value)) for key, value in message["headers"]]
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")

        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", self.host), *((b"cookie", header) for header in cookie_headers if header), *headers],
            "client": ("127.0.0.1", 50000),
            "server": (self.host.decode(), 80),
            "extensions": {},
        }
        await self.app(scope, receive, send)
        self._keep_cookies(answer)
        return answer

    async def connect(self, path: str, *texts: str, scope: Mapping[str, Any] | None = None) -> list[Message]:
        """Open a WebSocket, say `texts` and hang up. Returns what the server sent."""
        said: list[Message] = [{"type": "websocket.receive", "text": text} for text in texts]
        messages = iter([{"type": "websocket.connect"}, *said, {"type": "websocket.disconnect", "code": 1000}])
        sent: list[Message] = []

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            sent.append(message)
            self._keep_cookies(Answer(0, list(message.get("headers", ()))))

        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        await self.app(
            {
                "type": "websocket",
                "scheme": "ws",
                "path": path,
                "root_path": "",
                "query_string": b"",
                "headers": [(b"host", b"localhost"), (b"cookie", cookies.encode())],
                "subprotocols": [],
                "extensions": {},
                **(scope or {}),
            },
            receive,
            send,
        )
        return sent

    def _keep_cookies(self, answer: Answer) -> None:
        for line in answer.set_cookies:
            name, _, value = line.split(";")[0].partition("=")
            if "expires=Thu, 01 Jan 1970" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
