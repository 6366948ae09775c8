"""One store in several event loops, one after the other, as in tests with Starlette's TestClient."""

from __future__ import annotations

import anyio

from starlette_sessions_ext import Stored, store_from_url


def test_every_event_loop_gets_connections_of_its_own(url: str, key: str, soon: int) -> None:
    store = store_from_url(url)

    async def write_and_read() -> Stored | None:
        await store.create(key, b"data", soon)
        row = await store.load(key)
        await store.aclose()
        return row

    for _ in range(3):
        row = anyio.run(write_and_read)
        assert row is not None
        assert row.data == b"data"
