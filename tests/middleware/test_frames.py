"""How many of the package's functions a request passes through on its way to the store."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest
from starlette.requests import Request

import starlette_sessions_ext
from starlette_sessions_ext import MemoryStore

from ..support.client import Browser, make_app
from ..support.handlers import put, view
from ..support.store_wrappers import WrappedStore

pytestmark = pytest.mark.anyio

PACKAGE = str(Path(starlette_sessions_ext.__file__).parent)


class Watched(WrappedStore):
    """Notes the package's functions that lead to each call of the store, without those of the wrapper."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.ways: dict[str, list[str]] = {}

    async def before(self, call: str) -> None:
        self.ways[call] = _ours_above(sys._getframe())


def _ours_above(frame: FrameType | None) -> list[str]:
    """Name the package's functions between a frame and the application's next one."""
    names: list[str] = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            names.append(frame.f_code.co_qualname)
        elif names:
            break
        frame = frame.f_back
    return names


async def test_few_functions_are_between_a_request_and_the_store() -> None:
    store = Watched()

    async def count(request: Request) -> None:
        request.state.session["a"] = request.state.session["a"] + "1"

    browser = Browser(make_app(store, {"/put": put, "/": view, "/count": count}))
    await browser.get("/put?a=1")
    await browser.get("/")
    assert len(store.ways["load"]) <= 2, store.ways["load"]
    await browser.get("/count")
    assert len(store.ways["replace"]) <= 4, store.ways["replace"]
