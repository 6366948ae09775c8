"""Put the demo together: the same shop under /server and under /cookie, and the page that shows both."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware as CookieSessionMiddleware

from starlette_sessions_ext import SessionMiddleware, SupportsOwners

from . import cookies, devices, live, shop
from .cookies import COOKIES
from .live import Feed
from .switched_store import SwitchedStore


class StoreState(BaseModel):
    running: bool


def create_app(store: SupportsOwners) -> FastAPI:
    # Without SECRET_KEY all cookies are worthless once this process has ended.
    secret_key = os.environ.get("SECRET_KEY") or secrets.token_hex(32)
    switched = SwitchedStore(store)
    feed = Feed(switched)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with switched:  # a mounted application has no lifespan in which its middleware could open the store
            yield

    # Scripts of other sites can't send PUT, DELETE or JSON to these applications: browsers ask first (CORS),
    # and no answer allows it.
    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.mount("/server", make_server_shop(switched, feed, secret_key))
    app.mount("/cookie", make_cookie_shop(secret_key))
    app.include_router(cookies.router)

    @app.get("/store")
    async def show_store() -> StoreState:
        return StoreState(running=switched.running)

    @app.put("/store", status_code=204)
    async def switch_store(state: StoreState) -> None:
        switched.running = state.running
        feed.wake()

    app.mount("/", StaticFiles(directory=Path(__file__).with_name("static"), html=True))
    return app


def make_server_shop(store: SwitchedStore, feed: Feed, secret_key: str) -> FastAPI:
    """Make the shop whose sessions are on the server, with what only such sessions can do."""
    app = FastAPI(openapi_url=None)
    app.state.feed = feed
    for router in (shop.router, devices.router, live.router):
        app.include_router(router)
    app.add_middleware(
        SessionMiddleware,
        secret_key=secret_key,
        session_cookie=COOKIES["server"],
        store=store,
        user="user",  # whose session it is: this key, which the sign-in sets
        describe=devices.describe,
        on_event=feed.report,
        idle_timeout=timedelta(days=1),
    )
    return app


def make_cookie_shop(secret_key: str) -> FastAPI:
    """Make the shop whose sessions are in Starlette's cookie."""
    app = FastAPI(openapi_url=None)
    app.include_router(shop.router)
    app.add_middleware(CookieSessionMiddleware, secret_key=secret_key, session_cookie=COOKIES["cookie"])
    return app
