"""For a module whose subject meets the event loop where others do: trio only in scripts/test --full."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", params=["asyncio", pytest.param("trio", marks=pytest.mark.exhaustive)])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
