"""The part of the store contract that differs where keys are the ids of PHP's sessions."""

from __future__ import annotations

from starlette_sessions_ext.stores.base import SessionStore
from starlette_sessions_ext.testing.contract.base import NOT_KEYS
from starlette_sessions_ext.testing.contract.rows import RowsContract

_ALSO_IDS = ["a" * 31, "a" * 33, "a" * 65, "A" * 32]
"""No keys of other stores, but ids of PHP."""
_NOT_IDS = ["a" * 21, "a" * 257, "é" * 30, "a_" * 16, "a|" * 16]


class PHPIds(RowsContract):
    """The contract of rows, with other keys that are refused."""

    async def test_hostile_keys_are_refused(self, store: SessionStore, key: str, soon: int) -> None:
        assert await store.create(key, b"data", soon)
        before = await store.load(key)
        assert before is not None
        for bad in [bad for bad in NOT_KEYS if bad not in _ALSO_IDS] + _NOT_IDS:
            await self._is_refused(store, soon, before.version, bad)
            assert await store.load(key) == before
