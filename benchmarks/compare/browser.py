"""A browser that keeps cookies by name, whatever their attributes, and can be given others."""

from __future__ import annotations

import http.client
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from .gate import PATIENCE


@dataclass
class Answer:
    """A response."""

    status: int
    body: str
    set_cookies: list[str]


@dataclass
class Browser:
    """Asks one site. `copy` is another browser with the same cookies, such as a thief's."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Browser:
        return Browser(self.port, dict(self.cookies))

    def get(self, path: str) -> Answer:
        """Ask for a path, and keep the cookies of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=self._headers())
            response = connection.getresponse()
            answer = Answer(
                response.status, response.read().decode(), response.headers.get_all("set-cookie", failobj=[])
            )
        finally:
            connection.close()
        for line in answer.set_cookies:
            self.keep(line)
        return answer

    def session(self) -> dict[str, Any]:
        """What the session holds, as the application sees it. Empty where it answers with an error."""
        answer = self.get("/get")
        found: dict[str, Any] = json.loads(answer.body) if answer.status == 200 else {}
        return found

    def talk(self, path: str) -> bool:
        """Open a WebSocket and wait until it is closed. False: the handshake was refused."""
        try:
            with (
                suppress(ConnectionClosed),
                connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers=self._headers()) as socket,
            ):
                socket.recv(PATIENCE)
        except (InvalidHandshake, OSError):
            return False
        return True

    def keep(self, line: str) -> None:
        """Keep the cookie of a Set-Cookie line, or remove it."""
        name, _, value = line.partition(";")[0].partition("=")
        ended = "max-age=0" in line.lower() or "01 jan 1970" in line.lower().replace("-", " ")
        if ended or not value:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    def _headers(self) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": cookie} if cookie else {}
