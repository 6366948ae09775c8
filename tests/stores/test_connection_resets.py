"""A server that closes what it has just accepted, while the event loop is busy, so that it learns of both at once.

A driver may then meet a transport that is closed already, for which uvloop raises RuntimeError.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from starlette_sessions_ext import DatabaseStore, PostgreSQLStore, RedisStore, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id

from ..support.event_loops import anyio_backend as anyio_backend

pytestmark = pytest.mark.anyio

CALLS = 50


@pytest.fixture
def port() -> Iterator[int]:
    """Where every connection is made, and reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            with suppress(OSError):  # until the listener is closed
                while True:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("store_class", "url"),
    [
        (RedisStore, "redis://127.0.0.1:{}/0"),
        (DatabaseStore, "mysql://tester@127.0.0.1:{}/sessions"),
        (PostgreSQLStore, "postgresql://tester@127.0.0.1:{}/sessions"),
    ],
)
async def test_it_is_unavailable(
    store_class: type[RedisStore | DatabaseStore | PostgreSQLStore], url: str, port: int
) -> None:
    store = store_class(url.format(port))

    async def keep_busy() -> None:
        while True:
            time.sleep(0.002)
            await anyio.lowlevel.checkpoint()

    async def ask() -> None:
        with pytest.raises(StoreUnavailable):
            await store.load(key_of(new_id()))

    async with anyio.create_task_group() as busy:
        busy.start_soon(keep_busy)
        async with anyio.create_task_group() as group:
            for _ in range(CALLS):
                group.start_soon(ask)
        busy.cancel_scope.cancel()
    await store.aclose()
