"""A small application in which a user signs in and out."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request


async def sign_in(request: Request) -> str:
    request.session["user"] = "ann"
    request.state.session.rotate()
    return "ann"


async def sign_out(request: Request) -> None:
    request.state.session.destroy()


async def user(request: Request) -> Any:
    return request.session.get("user")


ROUTES = {"/in": sign_in, "/out": sign_out, "/": user}
"""Handlers by path; see `client.make_app`."""
