"""Real uvicorn processes that share a store, each on a port of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request

from starlette_sessions_ext import store_from_url

from .asgi import make_app
from .servers import answers, die_with_parent, free_port

START_WITHIN = 30.0


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.state.session.update(request.query_params)
    return {}


async def view(request: Request) -> Any:
    return dict(request.state.session)


async def count(request: Request) -> Any:
    def increment(data: dict[str, Any]) -> int:
        data["count"] = data.get("count", 0) + 1
        return int(data["count"])

    return await request.state.session.atomic(increment)


def create_app() -> Starlette:
    """What each worker runs. The store is named by the environment."""
    return make_app(store_from_url(os.environ["SESSIONS"]), {"/": view, "/put": put, "/count": count})


@contextmanager
def running_workers(count: int, url: str, log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start `count` workers on the store that `url` names."""
    processes = [_start(url, log) for _ in range(count)]
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
    return int(process.args[-1])


def _start(url: str, log: Path) -> subprocess.Popen[bytes]:
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "tests.workers:create_app", "--log-level", "warning"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*die_with_parent(), *uvicorn, "--port", str(free_port())],
            env={**os.environ, "SESSIONS": url},
            stdout=output,
            stderr=output,
        )


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not answers(port_of(process)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"a worker didn't start: {log.read_text()}")
        time.sleep(0.02)
