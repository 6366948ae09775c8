"""The templates: how a page is made, with flash messages, and what is shown when a request is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from starlette_sessions_ext import get_user
from starlette_sessions_ext.access import SIGN_IN_TOO_OLD
from starlette_sessions_ext.flash import claim_flashed_messages, get_flashed_messages

from .csrf import csrf_token

HERE = Path(__file__).parent
HEADERS = {
    # After signing out, "back" must not bring a page of before to the screen.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}

templates = Jinja2Templates(HERE / "templates")
templates.env.auto_reload = False
templates.env.globals.update(csrf_token=csrf_token, get_flashed_messages=get_flashed_messages, get_user=get_user)


def read_templates() -> None:
    """Read all templates at start, so that no request has to wait for the disk."""
    for name in templates.env.list_templates():
        templates.env.get_template(name)


async def page(request: Request, template: str, status_code: int = 200, **context: Any) -> Response:
    """Render a template. Each of them shows the messages that wait for this user."""
    await claim_flashed_messages(request)
    return templates.TemplateResponse(request, template, context, status_code, HEADERS)


def local(path: str) -> str:
    """Return a path of this site. Whatever else a link asks for becomes "/": it could lead a user to another site."""
    return path if re.fullmatch(r"(/[\w-]+)+", path, re.ASCII) else "/"


def see_other(path: str) -> Response:
    """Go on to a page after a form, so that reloading that page sends nothing twice."""
    return RedirectResponse(path, 303)


async def ask_to_sign_in(request: Request, error: Exception) -> Response:
    """Answer the 401 of `require_session`: the page to sign in, or the one to give the password again."""
    assert isinstance(error, HTTPException)
    back = local(request.url.path) if request.method == "GET" else _page_before(request)
    asking = "/confirm" if error.detail == SIGN_IN_TOO_OLD else "/sign-in"
    return see_other(f"{asking}?back={quote(back)}")


async def show_problem(request: Request, error: Exception) -> Response:
    """Show what went wrong as a page, in place of FastAPI's JSON."""
    assert isinstance(error, HTTPException)
    problem = "There is no such page." if error.status_code == 404 else error.detail
    if "session" not in request.scope:  # no such file in /static, which the option `exclude` leaves without a session
        return PlainTextResponse(problem, error.status_code)
    return await page(request, "problem.html", error.status_code, problem=problem, back=_page_before(request))


def _page_before(request: Request) -> str:
    """Return the page that a form was on, if the browser says so."""
    return local(urlsplit(request.headers.get("referer", "")).path)


def _moment(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


templates.env.filters["moment"] = _moment
