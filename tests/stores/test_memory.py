from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from starlette_sessions_ext import MemoryStore
from starlette_sessions_ext.testing import FakeClock, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[MemoryStore]:
        async with MemoryStore(clock=clock) as store:
            yield store
