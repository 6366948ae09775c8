"""One store in several event loops, one after the other, as in tests with Starlette's TestClient."""

from __future__ import annotations

import anyio
import pytest
import trio

from starlette_sessions_ext import ConfigurationError, Stored, store_from_url


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


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://a:b@127.0.0.1/session", "postgresql://a:b@127.0.0.1/session", "mongodb://127.0.0.1/session"),
        *("redis://127.0.0.1", "handlersocket://127.0.0.1/session/php_session"),
    ],
)
def test_on_trio_a_server_is_refused_with_what_to_use(url: str, key: str, soon: int) -> None:
    store = store_from_url(url)

    async def use() -> None:
        calls = (store.open(), store.load(key), store.create(key, b"data", soon), store.delete(key), store.aclose())
        for call in calls:
            with pytest.raises(ConfigurationError, match=r"runs on asyncio.*SQLiteStore"):
                await call

    trio.run(use)
