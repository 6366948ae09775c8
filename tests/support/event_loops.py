"""The event loops that the drivers of servers run on: a module with this fixture tests on both."""

from __future__ import annotations

from typing import Any

import pytest

ASYNCIO = ("asyncio", {"use_uvloop": False})
UVLOOP = ("asyncio", {"use_uvloop": True})


@pytest.fixture(
    scope="module",
    params=[pytest.param(ASYNCIO, id="asyncio"), pytest.param(UVLOOP, id="uvloop", marks=pytest.mark.exhaustive)],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param
