from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from starlette_sessions_ext import SQLiteStore
from starlette_sessions_ext.testing import FakeClock, StoreContract


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        async with SQLiteStore(tmp_path / "sessions.db", clock=clock) as store:
            yield store
