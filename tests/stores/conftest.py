"""What the tests of all stores ask for beside their store."""

from __future__ import annotations

import pytest

from starlette_sessions_ext.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock


@pytest.fixture
def key() -> str:
    return key_of(new_id())


@pytest.fixture
def soon(clock: FakeClock) -> int:
    """A time an hour from now."""
    return int(clock()) + 3600
