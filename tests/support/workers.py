"""Real servers, uvicorn or hypercorn, that share a store, each on another port."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.websockets import WebSocket

from starlette_sessions_ext import SessionConflict, store_from_url

from .client import Handler, make_app
from .handlers import put, view
from .servers import answers, die_with_parent, free_port

START_WITHIN = 90.0
PATIENCE = 30.0
"""Seconds that an operation of the store may take: what is tested isn't how busy the machine is."""

GATE = "SESSIONS_TEST_GATE"
"""The environment variable that names a file: `/slow` is under way until there is one."""


async def count(request: Request) -> Any:
    def increment(data: dict[str, Any]) -> int:
        data["count"] = data.get("count", 0) + 1
        return int(data["count"])

    try:
        return await request.state.session.atomic(increment)
    except SessionConflict:  # others were quicker for ten seconds: nothing was written
        return JSONResponse({}, 409)


running = 0  # how many of the next are under way in this process


async def slow(request: Request) -> Any:
    """/slow?key=value, when the gate is open"""
    global running
    running += 1
    try:
        while not Path(os.environ[GATE]).exists():
            await anyio.sleep(0.05)
        request.state.session.update(request.query_params)
        return {}
    finally:
        running -= 1


async def under_way(request: Request) -> Any:
    return running


async def stream(request: Request) -> Any:
    """Changes two keys of the session again and again while the response is under way."""

    async def body() -> AsyncIterator[bytes]:
        for number in range(30):
            request.state.session.update(one=number, two=number)
            yield b"%d\n" % number
            await anyio.sleep(0.01)

    return StreamingResponse(body())


async def listen(websocket: WebSocket) -> None:
    """Keeps what it hears in the session."""
    websocket.session["texts"] = []
    await websocket.accept()
    async for text in websocket.iter_text():
        websocket.session["texts"].append(text)


async def deny(websocket: WebSocket) -> None:
    websocket.session["denied"] = 1
    await websocket.send_denial_response(PlainTextResponse("sign in first", 401))


def create_app() -> Starlette:
    """What each worker runs. The store is named by the environment."""
    handlers: dict[str, Handler] = {
        **{"/": view, "/put": put, "/count": count, "/slow": slow, "/under-way": under_way, "/stream": stream}
    }
    return make_app(
        store_from_url(os.environ["SESSIONS"], timeout=PATIENCE), handlers, {"/listen": listen, "/deny": deny}
    )


@contextmanager
def running_workers(
    count: int, url: str, log: Path, server: str = "uvicorn", app: str = "tests.support.workers:create_app"
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start `count` workers on the store that `url` names. `app` makes what they run."""
    processes = [_start(url, log, _command(server, app, free_port())) for _ in range(count)]
    try:
        for process in processes:
            _wait_for(process, log)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def port_of(process: subprocess.Popen[bytes]) -> int:
    assert isinstance(process.args, list)
    return int(process.args[-1].rpartition(":")[2])


def _start(url: str, log: Path, command: list[str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [*die_with_parent(), sys.executable, "-m", *command],
            env={**os.environ, "SESSIONS": url, "PYTHONWARNINGS": "always::ResourceWarning"},
            stdout=output,
            stderr=output,
        )


def _command(server: str, app: str, port: int) -> list[str]:
    if server == "hypercorn":
        in_one_process = ("--workers", "0")  # else its worker outlives it if it is killed
        patient = ("--graceful-timeout", "60")  # as uvicorn is: what is under way may take more than three seconds
        return ["hypercorn", f"{app}()", *in_one_process, *patient, "--bind", f"127.0.0.1:{port}"]
    return ["uvicorn", "--factory", app, "--log-level", "warning", "--port", str(port)]


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not answers(port_of(process)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"a worker didn't start: {log.read_text()}")
        time.sleep(0.02)
