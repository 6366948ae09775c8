"""Requests of one HTTP/2 connection: until 0.18 Hypercorn gives them all one `scope["state"]`."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.requests import Request

from starlette_sessions_ext import MemoryStore
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


class Site:
    """An application whose `/slow` answers after `/fast` has, and where both say whose session they see."""

    def __init__(self, clock: FakeClock) -> None:
        self.fast_is_served = asyncio.Event()
        handlers = {"/put": self._put, "/slow": self._slow, "/fast": self._fast, "/skipped": self._skipped}
        self.app = make_app(MemoryStore(clock=clock), handlers, exclude=["/skipped"])

    async def _put(self, request: Request) -> Any:
        request.state.session.update(request.query_params)

    async def _slow(self, request: Request) -> Any:
        await self.fast_is_served.wait()
        return dict(request.state.session)

    async def _fast(self, request: Request) -> Any:
        self.fast_is_served.set()
        return dict(request.state.session)

    async def _skipped(self, request: Request) -> Any:
        return hasattr(request.state, "session")


@pytest.fixture
async def site(clock: FakeClock) -> Site:
    return Site(clock)


@pytest.fixture
async def port(site: Site) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    config, stop = Config(), asyncio.Event()
    config.bind, config.errorlog = [f"fd://{listener.detach()}"], None
    server = asyncio.create_task(serve(site.app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    yield port
    stop.set()
    await server


async def ask(port: int, *requests: tuple[str, str]) -> list[Any]:
    """Send requests, each a path and a cookie, over one connection at once. Returns the bodies as JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    streams = []
    for path, cookie in requests:
        streams.append(connection.get_next_available_stream_id())
        headers = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
        connection.send_headers(streams[-1], [*headers, ("cookie", f"session={cookie}")], end_stream=True)
    writer.write(connection.data_to_send())
    bodies, open_streams = dict.fromkeys(streams, b""), set(streams)
    while open_streams:
        for event in connection.receive_data(await reader.read(65536)):
            if isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] += event.data
            elif isinstance(event, h2.events.StreamEnded):
                open_streams.discard(event.stream_id)
        writer.write(connection.data_to_send())
    writer.close()
    await writer.wait_closed()
    return [json.loads(bodies[stream]) for stream in streams]


async def test_requests_of_one_connection_see_their_own_sessions(site: Site, port: int) -> None:
    ann, bob = Browser(site.app), Browser(site.app)
    await ann.get("/put?name=ann")
    await bob.get("/put?name=bob")
    requests = [("/slow", ann.cookies["session"]), ("/fast", bob.cookies["session"]), ("/skipped", "")]
    assert await ask(port, *requests) == [{"name": "ann"}, {"name": "bob"}, False]
