"""What most tests' applications do to a session, for `client.make_app`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request


async def view(request: Request) -> Any:
    return dict(request.state.session)


async def put(request: Request) -> Any:
    """/put?key=value"""
    request.state.session.update(request.query_params)
    return {}


async def untouched(request: Request) -> Any:
    return {}


async def clear(request: Request) -> Any:
    request.state.session.clear()
    return {}


async def logout(request: Request) -> Any:
    request.state.session.destroy()
    return {}


async def rotate(request: Request) -> Any:
    request.state.session.rotate()
    return {}


async def renew(request: Request) -> Any:
    request.state.session.renew(grace=10)
    return {}
