"""The Python side: counts, signs in and signs out, in the session of PHP."""

from __future__ import annotations

import html
import json
import os
from typing import Any

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from starlette_sessions_ext.fastapi import SessionDep
from starlette_sessions_ext.php import PHPSettings
from starlette_sessions_ext.php.middleware import PHPSessionMiddleware
from starlette_sessions_ext.php.redis import PHPRedisStore

PAGE = """<!doctype html><meta charset="utf-8"><title>Python</title><link rel="icon" href="data:,">
<style>body {{ font: 1rem sans-serif; max-width: 40rem; margin: 2rem auto }}</style>
<h1>Python</h1>
<p>{name}, the count is <strong id="count">{count}</strong>.
<form method="post"><button name="do" value="count">Count</button>
<button name="do" value="in">Sign in as Ada</button> <button name="do" value="out">Sign out</button></form>
<p><a href="{other}">The same session in PHP</a>
<pre>{session}</pre>"""

app = FastAPI()
app.add_middleware(
    PHPSessionMiddleware,
    store=PHPRedisStore(os.environ["SAVE_PATH"], locking=True),
    settings=PHPSettings(cookie_httponly=True, cookie_samesite="Lax"),
)


@app.get("/")
async def show(request: Request, session: SessionDep) -> HTMLResponse:
    return HTMLResponse(
        PAGE.format(
            name=html.escape(session.get("user", "Nobody")),
            count=session.get("count", 0),
            other=html.escape(os.environ["PHP_URL"]),
            session=html.escape(json.dumps(session, indent=1)),
        )
    )


def raise_count(data: dict[str, Any]) -> None:
    data["count"] = data.get("count", 0) + 1


@app.post("/")
async def change(session: SessionDep, do: str = Form()) -> RedirectResponse:
    if do == "count":
        await session.atomic(raise_count)
    elif do == "in":
        session.rotate()
        session["user"] = "Ada"
    elif do == "out":
        session.destroy()
    return RedirectResponse("/", status_code=303)
