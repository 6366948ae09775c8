"""An application behind uvicorn's HTTP protocol, on a transport that keeps what is written: no socket, no kernel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_SET_COOKIE = re.compile(rb"(?i)\r\nset-cookie: ([^;\r]*)")
_HEADERS = b"Host: localhost\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nDNT: 1\r\n"  # what a browser sends


class Transport(asyncio.Transport):
    """Collects what the server writes."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 50000)})
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Connection:
    """One connection that is kept alive, for one request at a time.

    The application must not wait for anything: a request is answered in one step of the event loop.
    """

    def __init__(self, protocol: asyncio.Protocol, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = Transport()
        self._protocol = protocol
        self._loop = loop
        protocol.connection_made(self._transport)

    def ask(self, request: bytes) -> bytes:
        """Send a request, and return the response as it was written."""
        written = self._transport.written
        written.clear()
        self._protocol.data_received(request)
        self._loop.call_soon(self._loop.stop)  # after the task that runs the application
        self._loop.run_forever()
        return b"".join(written)

    def begin_session(self) -> bytes:
        """Begin a session, see that it is kept, and return its cookie; empty if the application has no sessions."""
        cookie = cookie_of(self.ask(request_for("/begin")))
        if cookie:
            for path, body in (("/write", b"1"), ("/read", b"1")):
                response = self.ask(request_for(path, cookie))
                if (answer := body_of(response)) != body:
                    raise RuntimeError(f"a session isn't kept: {path} answered {answer!r} instead of {body!r}")
                cookie = cookie_of(response) or cookie
        return cookie


@contextmanager
def connected(app: ASGIApp) -> Iterator[Connection]:
    """Connect to an application, on an event loop that runs for each request only.

    The protocol is that of httptools where it is installed, otherwise h11's.
    """
    config = Config(app, lifespan="off", access_log=False, log_config=None, ws="none", timeout_keep_alive=3600)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT"), (b"server", b"uvicorn")]
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        protocol: Any = config.http_protocol_class
        yield Connection(protocol(config=config, server_state=state, app_state={}, _loop=loop), loop)


def request_for(path: str, cookie: bytes = b"") -> bytes:
    line = b"Cookie: " + cookie + b"\r\n" if cookie else b""
    return b"GET " + path.encode() + b" HTTP/1.1\r\n" + _HEADERS + line + b"\r\n"


def body_of(response: bytes) -> bytes:
    """Return the body of a response. Raises RuntimeError unless it is a success."""
    status = _STATUS.match(response)
    if status is None or status[1] != b"200":
        raise RuntimeError(f"a request was answered {response[:12]!r}")
    return response.partition(b"\r\n\r\n")[2]


def cookie_of(response: bytes) -> bytes:
    """Return the cookie that a response sets, as a browser sends it back; empty if it sets none."""
    match = _SET_COOKIE.search(response)
    return match[1] if match else b""
