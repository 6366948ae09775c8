"""A cart in the session, as an object of a class (typed data). It is kept when its owner signs in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from starlette_sessions_ext.fastapi import TypedSession
from starlette_sessions_ext.flash import flash

from .pages import page, see_other, templates

router = APIRouter()

MOST_OF_ONE = 20


@dataclass(frozen=True)
class Product:
    name: str
    about: str
    cents: int


PRODUCTS = {
    "sencha": Product("Sencha", "Green tea, 100 g", 890),
    "assam": Product("Assam", "Black tea, 100 g", 640),
    "rooibos": Product("Rooibos", "Without caffeine, 100 g", 520),
}


@dataclass
class Cart:
    """Quantities by product. The session holds it as JSON, and it is checked when it is read."""

    quantities: dict[str, int] = field(default_factory=dict)

    def add(self, product: str) -> None:
        self.quantities[product] = min(self.quantities.get(product, 0) + 1, MOST_OF_ONE)

    def lines(self) -> dict[str, tuple[Product, int]]:
        """Return products and quantities, without what isn't sold any more: a cart may be weeks old."""
        return {id: (PRODUCTS[id], quantity) for id, quantity in self.quantities.items() if id in PRODUCTS}

    def cents(self) -> int:
        return sum(product.cents * quantity for product, quantity in self.lines().values())


# A parameter of this type is the session's cart. What a handler changes in it is saved with the session.
CartDep = Annotated[Cart, TypedSession("cart")]


@router.get("/")
async def show_shop(request: Request, cart: CartDep) -> Response:
    return await page(request, "shop.html", products=PRODUCTS, cart=cart)


@router.post("/cart/add")
async def add_to_cart(request: Request, cart: CartDep, product: Annotated[str, Form()] = "") -> Response:
    if product not in PRODUCTS:
        raise HTTPException(400, "There is no such tea.")
    # The cart is one key of the session: of two additions at the same moment the later one wins.
    cart.add(product)
    flash(request, f"{PRODUCTS[product].name} is in your cart.", "success")
    return see_other("/")


@router.post("/cart/remove")
async def remove_from_cart(cart: CartDep, product: Annotated[str, Form()] = "") -> Response:
    cart.quantities.pop(product, None)
    return see_other("/")


templates.env.filters["money"] = lambda cents: f"€{cents / 100:.2f}"
