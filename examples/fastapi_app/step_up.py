"""Ask for the password again before something that matters (step-up authentication).

To change the password, a user must have signed in less than five minutes ago. If it is longer,
`require_session` answers 401, and `ask_to_sign_in` in pages.py makes it a redirect to /confirm.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from starlette_sessions_ext import Session
from starlette_sessions_ext.fastapi import require_session
from starlette_sessions_ext.flash import flash

from .accounts import SHORTEST_PASSWORD, AccountsDep
from .pages import local, page, see_other

router = APIRouter()

SignedIn = Annotated[Session, Depends(require_session())]
SignedInRecently = Annotated[Session, Depends(require_session(signed_in_within=timedelta(minutes=5)))]


@router.get("/confirm")
async def show_confirm(request: Request, session: SignedIn, back: str = "/") -> Response:
    return await page(request, "confirm.html", back=local(back))


@router.post("/confirm")
async def confirm(
    request: Request,
    session: SignedIn,
    accounts: AccountsDep,
    password: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    account = await run_in_threadpool(accounts.check, session["name"], password)
    if account != session["user_id"]:
        return await page(request, "confirm.html", 400, back=local(back), is_wrong=True)
    session.reauthenticated()  # signed in just now, under a new id
    return see_other(local(back))


@router.get("/password")
async def show_password(request: Request, session: SignedInRecently) -> Response:
    return await page(request, "password.html", shortest=SHORTEST_PASSWORD)


@router.post("/password")
async def change_password(
    request: Request, session: SignedInRecently, accounts: AccountsDep, new_password: Annotated[str, Form()] = ""
) -> Response:
    if len(new_password) < SHORTEST_PASSWORD:
        return await page(request, "password.html", 400, shortest=SHORTEST_PASSWORD, is_too_short=True)
    await run_in_threadpool(accounts.set_password, session["user_id"], new_password)
    # Sign out all other sessions. The present one gets a new id, so a stolen copy of its cookie is worthless too.
    await session.directory.revoke_all(session["user_id"], keep=session)
    session.rotate()
    flash(request, "Your password is changed. All other devices are signed out.", "success")
    return see_other("/devices")
