"""Nested changes are saved whichever way their container came out of the session, or went in.

A session whose containers nobody was given isn't compared, so each way has to leave its mark.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from starlette_sessions_ext import MemoryStore, Session
from starlette_sessions_ext.testing import FakeClock

from ..support.client import Browser, make_app
from ..support.store_wrappers import CountingStore

pytestmark = pytest.mark.anyio


def by_match(session: Session) -> Any:
    match session:
        case {"cart": cart}:
            return cart
    raise AssertionError


class Keeper:
    """Keeps what it is compared with, or merged into."""

    kept: Any = None

    def __eq__(self, other: object) -> bool:
        self.kept = other
        return False

    __hash__ = None  # type: ignore[assignment]


def by_comparison(session: Session) -> Any:
    keeper = Keeper()
    assert session != {"cart": keeper}
    return keeper.kept


OUT: dict[str, Callable[[Session], Any]] = {
    "[]": lambda s: s["cart"],
    "get": lambda s: s.get("cart"),
    "setdefault": lambda s: s.setdefault("cart", None),
    "values": lambda s: next(iter(s.values())),
    "values, reversed": lambda s: next(reversed(s.values())),
    "items": lambda s: next(iter(s.items()))[1],
    "copy": lambda s: s.copy()["cart"],
    "copy.copy": lambda s: copy.copy(s)["cart"],
    "|": lambda s: (s | {})["cart"],
    "|, from the right": lambda s: ({} | s)["cart"],
    "dict()": lambda s: dict(s)["cart"],
    "**": lambda s: dict(**s)["cart"],
    "{**}": lambda s: {**s}["cart"],
    "dict.update": lambda s: updated(s)["cart"],
    "match": by_match,
    "==": by_comparison,
    "sorted": lambda s: sorted(s.items())[0][1],
    "json's default": lambda s: kept_by_json(s),
}


def updated(session: Session) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    plain.update(session)
    return plain


def kept_by_json(session: Session) -> Any:
    json.dumps(session)
    return dict.__getitem__(session, "cart")


def put(session: Session, cart: list[int]) -> None:
    session["cart"] = cart


IN: dict[str, Callable[[Session, list[int]], Any]] = {
    "[]=": put,
    "setdefault": lambda s, cart: s.setdefault("cart", cart),
    "update": lambda s, cart: s.update({"cart": cart}),
    "update, by name": lambda s, cart: s.update(cart=cart),
    "update, by pairs": lambda s, cart: s.update([("cart", cart)]),
    "|=": lambda s, cart: s.__ior__({"cart": cart}),
    "|=, by pairs": lambda s, cart: s.__ior__([("cart", cart)]),
}


class Site:
    def __init__(self, clock: FakeClock) -> None:
        self.store = CountingStore(MemoryStore(clock=clock))
        self.browser = Browser(make_app(self.store, {"/": self._handle, "/cart": self._cart}, clock=clock))
        self.act: Callable[[Session], Any] = len

    async def do(self, act: Callable[[Session], Any]) -> None:
        self.act = act
        assert (await self.browser.get("/")).status == 200

    async def cart(self) -> Any:
        return (await self.browser.get("/cart")).json()

    async def _handle(self, request: Request) -> Any:
        result = self.act(request.state.session)
        return await result if hasattr(result, "__await__") else None

    async def _cart(self, request: Request) -> Any:
        return request.state.session["cart"]


@pytest.fixture
async def site(clock: FakeClock) -> Site:
    site = Site(clock)
    await site.do(lambda session: session.update(cart=[0]))
    return site


@pytest.mark.parametrize("way", OUT)
async def test_a_change_of_what_came_out_is_saved(site: Site, way: str) -> None:
    await site.do(lambda session: OUT[way](session).append(1))
    assert await site.cart() == [0, 1]


@pytest.mark.parametrize("way", OUT)
async def test_a_change_of_what_came_out_before_a_save_is_saved(site: Site, way: str) -> None:
    async def act(session: Session) -> None:
        cart = OUT[way](session)
        await session.save()
        cart.append(1)

    await site.do(act)
    assert await site.cart() == [0, 1]


@pytest.mark.parametrize("way", IN)
async def test_a_change_of_what_went_in_is_saved(clock: FakeClock, way: str) -> None:
    async def act(session: Session) -> None:
        cart = [0]
        IN[way](session, cart)
        await session.save()
        cart.append(1)

    site = Site(clock)
    await site.do(act)
    assert await site.cart() == [0, 1]


async def test_a_change_of_what_an_atomic_made_is_saved(site: Site) -> None:
    async def act(session: Session) -> None:
        await session.atomic(lambda data: data["cart"].append(1))
        session["cart"].append(2)

    await site.do(act)
    assert await site.cart() == [0, 1, 2]


@pytest.mark.parametrize("look", [lambda s: s.get("user"), len, lambda s: "cart" in s, lambda s: s["user"], list])
async def test_what_nobody_was_given_isnt_compared(
    site: Site, monkeypatch: pytest.MonkeyPatch, look: Callable[[Session], Any]
) -> None:
    await site.do(lambda session: session.update(user="ann"))
    taken: list[Session] = []
    monkeypatch.setattr(Session, "_data", lambda self: taken.append(self))
    await site.do(look)
    assert taken == []


async def test_saving_marks_no_session(site: Site) -> None:
    seen: list[Session] = []

    async def act(session: Session) -> None:
        session["user"] = "ann"
        seen.append(session)

    await site.do(act)
    assert not seen[0]._lent
