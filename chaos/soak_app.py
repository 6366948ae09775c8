"""The application of a soak: it reports how many tasks it has, and leaks on request."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import IO, Any

from starlette.requests import Request
from starlette.types import ASGIApp

from starlette_sessions_ext import store_from_url
from tests.support.client import Handler, make_app
from tests.support.handlers import put, view
from tests.support.workers import count, stream

from .application import CancelOnDisconnect


async def rotate(request: Request) -> Any:
    request.state.session.rotate()
    return {}


async def log_out(request: Request) -> Any:
    request.state.session.destroy()
    return {}


async def tasks(request: Request) -> Any:
    """Return how many there are after a garbage collection."""
    gc.collect()
    return len(asyncio.all_tasks())


_leaked: list[tuple[asyncio.Task[None], IO[bytes], bytes]] = []


async def leak(request: Request) -> Any:
    """Keep a task, a file and some memory: what a soak has to find."""
    file = Path(os.devnull).open("rb")  # noqa: SIM115 - it is to stay open
    _leaked.append((asyncio.create_task(asyncio.sleep(3600)), file, os.urandom(200_000)))
    return {}


def create_app() -> ASGIApp:
    handlers: dict[str, Handler] = {
        **{"/": view, "/put": put, "/count": count, "/stream": stream, "/rotate": rotate, "/log-out": log_out},
        **{"/tasks": tasks, "/leak": leak},
    }
    app = make_app(store_from_url(os.environ["SESSIONS"]), handlers, idle_timeout=60, touch_interval=1)
    return CancelOnDisconnect(app)
