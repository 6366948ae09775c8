"""Put the application together: uvicorn --factory examples.fastapi_app.main:create_app

Settings are environment variables; README.md has a table of them.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from datetime import timedelta

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from starlette_sessions_ext import SessionMiddleware, SessionStore, store_from_url

from . import cart, devices, live, sign_in, step_up
from .accounts import Accounts
from .csrf import check_csrf
from .pages import HERE, ask_to_sign_in, read_templates, show_problem

# An account to try it with. It is printed on the page to sign in.
NAME, PASSWORD = "ann", "a cup of green tea"


def create_app(
    store: SessionStore | None = None, accounts: Accounts | None = None, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Make the application. Tests give it a store, accounts and a clock."""
    read_templates()
    app = FastAPI(openapi_url=None)  # pages for people: there is no API to describe
    app.state.accounts = accounts or Accounts(os.environ.get("ACCOUNTS", "accounts.db"))
    app.state.accounts.add(NAME, PASSWORD)

    for pages in (cart.router, sign_in.router, devices.router, step_up.router):
        app.include_router(pages, dependencies=[Depends(check_csrf)])
    app.include_router(live.router)
    app.mount("/static", StaticFiles(directory=HERE / "static"))

    app.add_exception_handler(401, ask_to_sign_in)
    app.add_exception_handler(HTTPException, show_problem)

    app.add_middleware(
        SessionMiddleware,
        # Without SECRET_KEY all cookies are worthless once this process has ended.
        secret_key=os.environ.get("SECRET_KEY") or secrets.token_hex(32),
        store=store or store_from_url(os.environ.get("SESSIONS_URL", "sqlite:///sessions.db")),
        user="user_id",  # whose session it is: this key, which sign_in.py sets
        describe=devices.describe_device,
        max_sessions_per_user=5,  # a sixth sign-in ends the session that was unused for longest
        idle_timeout=timedelta(days=1),
        absolute_timeout=timedelta(days=30),
        touch_interval=timedelta(minutes=1),  # "last used" on the page of devices is exact to a minute
        exclude=["/static"],
        clock=clock,
    )
    return app
