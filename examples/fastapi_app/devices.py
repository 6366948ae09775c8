"""The devices that a user is signed in on: list them, sign one of them out, or all but this one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from starlette_sessions_ext.flash import flash

from .pages import page, see_other
from .step_up import SignedIn

router = APIRouter()

# The first that is found in the user agent counts: Edge names Chrome as well, and Chrome names Safari.
BROWSERS = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "Linux": "Linux",
}


@router.get("/devices")
async def show_devices(request: Request, session: SignedIn) -> Response:
    devices = await session.directory.list(session["user_id"], current=session)
    return await page(request, "devices.html", devices=devices)


@router.post("/devices/{public_id}/sign-out")
async def sign_out_device(request: Request, session: SignedIn, public_id: str) -> Response:
    # Looks at the sessions of this user alone, so that nobody can end another user's.
    if await session.directory.revoke(session["user_id"], public_id):
        flash(request, "The device is signed out.", "success")
    else:
        flash(request, "The device was signed out already.")
    return see_other("/devices")


@router.post("/devices/sign-out-others")
async def sign_out_others(request: Request, session: SignedIn) -> Response:
    ended = await session.directory.revoke_all(session["user_id"], keep=session)
    flash(request, f"Signed out on {ended} other {'device' if ended == 1 else 'devices'}.", "success")
    return see_other("/devices")


def describe_device(scope: Scope) -> dict[str, Any]:
    """Return what the list shows of a session: the middleware keeps it at each sign-in (the option `describe`)."""
    headers = dict(scope["headers"])
    agent = headers.get(b"user-agent", b"").decode("latin-1")
    return {
        "browser": _first(BROWSERS, agent) or "Unknown browser",
        "system": _first(SYSTEMS, agent),
        "address": scope["client"][0] if scope.get("client") else None,
    }


def _first(names: dict[str, str], agent: str) -> str | None:
    return next((name for part, name in names.items() if part in agent), None)
