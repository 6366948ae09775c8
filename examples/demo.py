"""A little shop, to click through what a session does: python examples/demo.py, or scripts/demo.

DEMO_DATABASE names the SQLite file (demo.db), DEMO_REDIS_URL puts the sessions into Redis instead,
SECRET_KEY signs the cookie, and PORT or --port chooses another port than 8000.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from starlette_sessions_ext import Session, SessionGone, SessionMiddleware, SessionStore, SQLiteStore

PRODUCTS = {
    "tea": {"name": "Green tea", "about": "Loose leaves, 100\u00a0g", "cents": 650},
    "honey": {"name": "Lime honey", "about": "From the hill, 250\u00a0g", "cents": 820},
    "bread": {"name": "Rye bread", "about": "Baked this morning", "cents": 480},
    "mug": {"name": "Clay mug", "about": "Thrown by hand", "cents": 1900},
}
NOTES = {"delivery_note": "Delivery note", "gift_message": "Gift message"}
MOST_OF_ONE = 99
LONGEST_NAME = 40
LONGEST_NOTE = 200
REMEMBERED = timedelta(days=30)

templates = Jinja2Templates(Path(__file__).with_name("demo_templates"))


class WrongInput(HTTPException):
    """Input to correct: the page comes back with the message next to `field`, and with what was typed and checked."""

    def __init__(self, field: str, message: str, typed: str = "", checked: bool = False) -> None:
        super().__init__(400, message)
        self.wrong = {"field": field, "message": message, "typed": typed, "checked": checked}


async def shop(request: Request) -> Response:
    session: Session = request.state.session
    is_new = session.is_new  # asked before the visit is counted: counting it saves the session

    def arrive(data: dict[str, Any]) -> str | None:
        data["visits"] = data.get("visits", 0) + 1
        message: str | None = data.pop("message", None)
        return message

    # Atomic, so that of pages loaded side by side each one counts, and one alone shows the message.
    message = await session.atomic(arrive)
    return page(request, is_new=is_new, message=message)


async def sign_in(request: Request) -> Response:
    session: Session = request.state.session
    form = await typed(request)
    name, remembered = form.get("name", ""), "remember" in form
    if not name:
        raise WrongInput("name", "Please tell us your name.", checked=remembered)
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise WrongInput("name", f"At most {LONGEST_NAME} letters, on one line, please.", name, remembered)
    session.rotate()  # an id that was known before must not be signed in now
    session.set_lifetime(REMEMBERED if remembered else None)
    session.update(user=name, message=f"Welcome, {name}! Your session has a new id now.")
    return back_to("/")


async def sign_out(request: Request) -> Response:
    session: Session = request.state.session
    session.destroy()
    session["message"] = "You are signed out. That session is gone, and this is a new one."
    return back_to("/")


async def add_to_cart(request: Request) -> Response:
    session: Session = request.state.session
    product = (await typed(request)).get("product", "")
    if product not in PRODUCTS:
        raise WrongInput("shop", "We don't sell that. Please choose something from the shelf.")
    items = session.setdefault("cart", {"items": {}})["items"]
    if items.setdefault(product, {"quantity": 0})["quantity"] >= MOST_OF_ONE:
        raise WrongInput("shop", f"{MOST_OF_ONE} of one thing are all we can carry.")
    session["cart"]["items"][product]["quantity"] += 1  # deep inside, and yet it is saved
    return back_to("/#shop")


async def change_cart(request: Request) -> Response:
    session: Session = request.state.session
    form = await typed(request)
    product, quantity = form.get("product", ""), form.get("quantity", "")
    items = session.get("cart", {"items": {}})["items"]
    if product not in items:
        raise WrongInput("cart", "That isn't in your cart any more.")
    if not quantity.isdecimal() or len(quantity) > len(str(MOST_OF_ONE)):
        raise WrongInput(product, f"Please give a whole number from 0 to {MOST_OF_ONE}.", quantity)
    if int(quantity) == 0:
        del items[product]
    else:
        items[product]["quantity"] = int(quantity)
    return back_to("/#cart")


async def save_note(request: Request) -> Response:
    session: Session = request.state.session
    key = request.path_params["key"]
    if key not in NOTES:
        raise HTTPException(404)
    note = (await typed(request)).get("note", "")
    if len(note) > LONGEST_NOTE:
        raise WrongInput(key, f"{len(note)} characters are too many: {LONGEST_NOTE} fit on the card.", note)
    session[key] = note
    await asyncio.sleep(0.3)  # slow on purpose, so that saving both notes at once really overlaps
    return back_to("/#notes")


async def problem(request: Request, error: Exception) -> Response:
    """Show the shop with a message, whatever went wrong: nobody is left on a bare error page."""
    assert isinstance(error, HTTPException)
    if isinstance(error, WrongInput):
        wrong = error.wrong
    else:
        explained = {
            404: "There is no such page: here is the shop.",
            405: "That is where a form goes: here is the shop.",
        }
        wrong = {"field": "page", "message": explained.get(error.status_code, error.detail)}
    return page(request, error.status_code, is_new=request.state.session.is_new, wrong=wrong)


async def ended(request: Request, error: Exception) -> Response:
    """Answer a request whose session was ended or given another id by a parallel one."""
    assert isinstance(error, SessionGone)
    return PlainTextResponse("You have signed in or out in the meantime. Please load the page again.", 409)


def page(request: Request, status: int = 200, **context: Any) -> Response:
    session: Session = request.state.session
    cart = [
        {"id": product, **PRODUCTS[product], "quantity": item["quantity"]}
        for product, item in session.get("cart", {"items": {}})["items"].items()
    ]
    context |= {
        "session": session,
        "cart": cart,
        "count": sum(line["quantity"] for line in cart),
        "total": sum(line["quantity"] * line["cents"] for line in cart),
        "stored": json.dumps(session, indent=2, ensure_ascii=False),
        "cookie": request.cookies.get("session", ""),
    }
    # Not to be shown from a cache: after signing out, "back" must not bring the cart to the screen.
    return templates.TemplateResponse(request, "shop.html", context, status, headers={"Cache-Control": "no-store"})


def back_to(url: str) -> Response:
    """After a form go and look at the result, so that reloading the page sends nothing twice."""
    return RedirectResponse(url, 303)


async def typed(request: Request) -> dict[str, str]:
    """What was typed into a form. Browsers send CRLF, but count the end of a line as one character."""
    form = await request.form(max_files=0)
    return {name: value.strip().replace("\r\n", "\n") for name, value in form.items() if isinstance(value, str)}


def money(cents: int) -> str:
    return f"€{cents / 100:.2f}"


def clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y, %H:%M:%S UTC")


def from_now(seconds: int) -> str:
    """How far away a moment is: "in 29 min", "5 s ago"."""
    away = seconds - datetime.now(UTC).timestamp()
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s")):
        if abs(away) >= size * 0.99:
            span = f"{abs(away) / size:.0f} {unit}".replace("1 days", "1 day")
            return f"in {span}" if away > 0 else f"{span} ago"
    return "just now"


templates.env.filters |= {"money": money, "clock": clock, "from_now": from_now}
templates.env.globals.update(PRODUCTS=PRODUCTS, NOTES=NOTES, MOST_OF_ONE=MOST_OF_ONE, REMEMBERED=REMEMBERED)
templates.env.globals.update(LONGEST_NAME=LONGEST_NAME, LONGEST_NOTE=LONGEST_NOTE)
templates.env.auto_reload = False
templates.get_template("shop.html")  # read now, so that no request has to wait for the disk


def create_app(store: SessionStore) -> Starlette:
    sessions = Middleware(
        SessionMiddleware,
        # Without SECRET_KEY nobody's cookie is worth anything once this process has ended.
        secret_key=os.environ.get("SECRET_KEY") or secrets.token_hex(32),
        store=store,
        max_age=None,  # the cookie ends with the browser, unless the user asks to be remembered
        idle_timeout=timedelta(minutes=30),
        absolute_timeout=timedelta(days=90),  # longer than REMEMBERED: it holds for remembered sessions too
        touch_interval=1,  # each page view writes its counter anyway, and moves the expiry for free
    )
    routes = [
        Route("/", shop),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
        Route("/cart/add", add_to_cart, methods=["POST"]),
        Route("/cart/change", change_cart, methods=["POST"]),
        Route("/notes/{key}", save_note, methods=["POST"]),
    ]
    return Starlette(
        routes=routes, middleware=[sessions], exception_handlers={HTTPException: problem, SessionGone: ended}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A little shop with server-side sessions.")
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", "8000"))
    port = parser.parse_args().port
    store: SessionStore
    if url := os.environ.get("DEMO_REDIS_URL"):
        from starlette_sessions_ext import RedisStore  # here, because it needs redis-py

        store, place = RedisStore(url), "Redis"
    else:
        place = os.environ.get("DEMO_DATABASE") or "demo.db"
        store = SQLiteStore(place)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except (OSError, OverflowError) as error:
        sys.exit(f"Port {port} can't be used ({error}). Stop what runs there, or take another: --port 8001")
    print(f"The shop opens on http://127.0.0.1:{port} (sessions in {place}, Ctrl-C closes it)", flush=True)
    server = uvicorn.Server(uvicorn.Config(create_app(store), log_level="warning"))
    with contextlib.suppress(KeyboardInterrupt):
        server.run([listener])


if __name__ == "__main__":
    main()
