"""The browser's cookies of both shops: measure them, copy them, and put a copy back.

The copies are cookies as well, so that no script of the page ever sees one. They stand for what a thief or a
shared computer keeps.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

router = APIRouter(prefix="/cookies")

COOKIES = {"server": "server_session", "cookie": "cookie_session"}
"""The name of the cookie on each side."""


@router.get("")
async def measure_cookies(request: Request) -> dict[str, int]:
    """Return how many bytes the browser holds for each side."""
    return {side: len(request.cookies.get(name, "")) for side, name in COOKIES.items()}


@router.put("/copy", status_code=204)
async def copy_cookies(request: Request, response: Response) -> None:
    for name in COOKIES.values():
        response.set_cookie(f"copy_of_{name}", request.cookies.get(name, ""), httponly=True, samesite="strict")


@router.put("/restore", status_code=204)
async def restore_cookies(request: Request, response: Response) -> None:
    for name in COOKIES.values():
        response.set_cookie(name, request.cookies.get(f"copy_of_{name}", ""), httponly=True, samesite="lax")
        response.delete_cookie(f"copy_of_{name}", httponly=True, samesite="strict")
