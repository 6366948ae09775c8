"""The shop: a name, a cart and two notes in `request.session`, whichever middleware provides it.

The handlers do only what every kind of session can: they read keys, put keys and clear. So whatever differs
between the two shops of the demo comes from the middleware.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, StringConstraints
from starlette.requests import Request

router = APIRouter()

PRODUCTS = {"tea": ("Green tea", 650), "honey": ("Lime honey", 820), "mug": ("Clay mug", 1900)}
MOST_OF_ONE = 99
OTHER_WITHIN = 30.0  # seconds

Trimmed = StringConstraints(strip_whitespace=True, max_length=80)


class Person(BaseModel):
    name: Annotated[str, Trimmed, StringConstraints(min_length=1)]


class Item(BaseModel):
    product: Literal["tea", "honey", "mug"]


class Note(BaseModel):
    text: Annotated[str, Trimmed]


@router.get("/shop")
async def show_shop(request: Request) -> dict[str, Any]:
    """Return what the session holds, and what can be bought."""
    cart = request.session.get("cart", {})
    return {
        "user": request.session.get("user"),
        "products": [{"id": id, "name": name, "cents": cents} for id, (name, cents) in PRODUCTS.items()],
        "cart": [{"name": PRODUCTS[id][0], "quantity": quantity} for id, quantity in cart.items()],
        "cents": sum(PRODUCTS[id][1] * quantity for id, quantity in cart.items()),
        "notes": {key: request.session.get(key, "") for key in ("delivery_note", "gift_message")},
    }


@router.post("/sign-in", status_code=204)
async def sign_in(request: Request, person: Person) -> None:
    """Sign in. The demo has no passwords: anyone may be anyone."""
    request.session["user"] = person.name


@router.delete("/session", status_code=204)
async def sign_out(request: Request) -> None:
    request.session.clear()


@router.post("/cart", status_code=204)
async def add_to_cart(request: Request, item: Item) -> None:
    cart = request.session.get("cart", {})
    quantity = min(cart.get(item.product, 0) + 1, MOST_OF_ONE)
    # A new dict, because Starlette's sessions don't notice a change inside of one. This package's sessions do.
    request.session["cart"] = {**cart, item.product: quantity}


@router.put("/notes/{key}", status_code=204)
async def save_note(
    request: Request,
    key: Literal["delivery_note", "gift_message"],
    note: Note,
    pair: Annotated[str | None, Query(max_length=40)] = None,
) -> None:
    """Save a note. Two requests of one `pair` wait for each other, so that they overlap on every machine."""
    if pair is not None:
        await wait_for_other(pair)
    request.session[key] = note.text


barriers: dict[str, asyncio.Barrier] = {}


async def wait_for_other(pair: str) -> None:
    """Return when both requests of a pair are here. By then the middleware has read the session for each."""
    barrier = barriers.setdefault(pair, asyncio.Barrier(2))
    try:
        async with asyncio.timeout(OTHER_WITHIN):
            await barrier.wait()
    except TimeoutError as error:
        raise HTTPException(408, "The other request of this pair didn't arrive.") from error
    finally:
        barriers.pop(pair, None)
