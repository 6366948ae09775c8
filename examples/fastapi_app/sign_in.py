"""Sign in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from starlette_sessions_ext import get_user
from starlette_sessions_ext.fastapi import SessionDep
from starlette_sessions_ext.flash import flash

from .accounts import AccountsDep
from .csrf import replace_csrf_token
from .pages import local, page, see_other

router = APIRouter()


@router.get("/sign-in")
async def show_sign_in(request: Request, back: str = "/") -> Response:
    if get_user(request) is not None:  # signed in already, in another tab
        return see_other(local(back))
    return await page(request, "sign_in.html", back=local(back))


@router.post("/sign-in")
async def sign_in(
    request: Request,
    session: SessionDep,
    accounts: AccountsDep,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    account = await run_in_threadpool(accounts.check, name, password)
    if account is None:
        return await page(request, "sign_in.html", 400, name=name, back=local(back), is_wrong=True)
    # The middleware has user="user_id". So this line is the sign-in: the session gets a new id, keeps its cart,
    # and is one of the user's devices from now on.
    session["user_id"] = account
    session["name"] = name
    session.reauthenticated()  # counts also if this user was signed in already: then nothing has changed above
    replace_csrf_token(request)
    flash(request, f"Welcome, {name}.", "success")
    return see_other(local(back))


@router.post("/sign-out")
async def sign_out(request: Request, session: SessionDep) -> Response:
    session.destroy()
    flash(request, "You are signed out.")  # after destroy: it begins a new session, for the message alone
    return see_other("/")
