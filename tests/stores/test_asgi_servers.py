"""The edges of HTTP in real servers: sockets, streams, clients that leave, and SIGTERM (rows F6, F8 and F9)."""

from __future__ import annotations

import signal
import ssl
import subprocess
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ..support.asyncio_only import anyio_backend as anyio_backend
from ..support.workers import GATE, port_of, running_workers

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180), pytest.mark.slow]

IN_FLIGHT = 100
HANG = 60.0
"""Seconds after which nothing will come any more."""
TLS = ssl.create_default_context()  # not needed, but each client would make another


@pytest.fixture(scope="module", params=["uvicorn", "hypercorn"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a server listens."""
    folder = tmp_path_factory.mktemp(request.param)
    with running_workers(1, f"sqlite:///{folder / 'sessions.db'}", folder / "worker.log", request.param) as [worker]:
        yield port_of(worker)


def browser(port: int, cookies: Any = None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", cookies=cookies, timeout=HANG, verify=TLS)


async def session_of(port: int, cookie: str) -> Any:
    """What the session of a Set-Cookie holds."""
    cookies = {name: morsel.value for name, morsel in SimpleCookie(cookie).items()}
    async with browser(port, cookies) as client:
        return (await client.get("/")).json()


async def test_F9_the_cookie_of_a_websocket_comes_with_the_handshake_and_the_rest_is_saved_at_its_end(
    port: int,
) -> None:
    async with connect(f"ws://127.0.0.1:{port}/listen") as socket:
        assert socket.response is not None
        cookie = socket.response.headers["set-cookie"]
        assert await session_of(port, cookie) == {"texts": []}
        await socket.send("one")
        await socket.send("two")
    with anyio.fail_after(HANG):
        while await session_of(port, cookie) != {"texts": ["one", "two"]}:
            await anyio.sleep(0.01)  # the server goes on for a moment after the socket is closed


async def test_F9_the_cookie_comes_with_the_denial_of_a_websocket(port: int) -> None:
    with pytest.raises(InvalidStatus) as denied:
        await connect(f"ws://127.0.0.1:{port}/deny")
    assert denied.value.response.status_code == 401
    assert await session_of(port, denied.value.response.headers["set-cookie"]) == {"denied": 1}


async def test_F9_what_a_stream_changes_is_saved_when_it_ends(port: int) -> None:
    async with browser(port) as client:
        await client.get("/put", params={"name": "ann"})
        assert len((await client.get("/stream")).text.splitlines()) == 30
        with anyio.fail_after(HANG):
            while (found := (await client.get("/")).json()) == {"name": "ann"}:
                await anyio.sleep(0.01)
        assert found == {"name": "ann", "one": 29, "two": 29}


async def test_F8_a_client_that_leaves_a_stream_leaves_the_old_or_the_new_state(port: int) -> None:
    async with browser(port) as client:
        await client.get("/put", params={"name": "ann"})

        async def leave() -> None:
            async with browser(port, client.cookies) as leaving, leaving.stream("GET", "/stream") as response:
                async for _ in response.aiter_bytes():
                    break

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(leave)
        for _ in range(50):
            found = (await client.get("/")).json()
            assert found.get("one") == found.get("two")
            await anyio.sleep(0.01)
        assert (await client.get("/put", params={"after": "1"})).status_code == 200
        assert (await client.get("/")).json()["after"] == "1"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
async def test_F6_sigterm_with_requests_in_flight_loses_nothing_that_was_answered(
    url: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are under way until the signal is sent, whatever the machine's speed."""
    log, gate = tmp_path / "worker.log", tmp_path / "gate"
    monkeypatch.setenv(GATE, str(gate))
    outcomes: dict[int, bool] = {}
    cookies: dict[int, Any] = {}
    with running_workers(1, url, log, server) as [worker]:

        async def work(number: int) -> None:
            async with browser(port_of(worker)) as client:
                try:
                    answer = await client.get("/slow", params={"number": str(number)})
                    outcomes[number] = answer.status_code == 200
                except httpx2.TransportError:
                    outcomes[number] = False
                cookies[number] = dict(client.cookies)

        async with browser(port_of(worker)) as control, anyio.create_task_group() as group:
            for number in range(IN_FLIGHT):
                group.start_soon(work, number)
            while (await control.get("/under-way")).json() < IN_FLIGHT / 2:
                await anyio.sleep(0.01)
            worker.send_signal(signal.SIGTERM)
            gate.touch()
        assert await anyio.to_thread.run_sync(ended, worker) in (0, -signal.SIGTERM), log.read_text()
    assert len(outcomes) == IN_FLIGHT
    assert sum(outcomes.values()) >= IN_FLIGHT / 2, "what was under way could end"
    for word in ("Traceback", "ResourceWarning", "was destroyed"):
        assert word not in log.read_text()
    with running_workers(1, url, log) as [worker]:
        for number, answered in outcomes.items():
            assert bool(cookies[number]) is answered, "a cookie for what was saved, and for nothing else"
            if answered:
                async with browser(port_of(worker), cookies[number]) as client:
                    assert (await client.get("/")).json() == {"number": str(number)}


def ended(process: subprocess.Popen[bytes]) -> int:
    return process.wait(timeout=HANG)
