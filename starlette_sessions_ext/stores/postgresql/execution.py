"""Run a statement within an operation's budget, and translate asyncpg's errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from asyncpg import PostgresError

from ...errors import StoreTimeout
from .._support.loop_local import within
from .connections import Connections
from .errors import DRIVER_ERRORS, SLOW, is_read_only, is_undone, to_store_error

T = TypeVar("T")


@asynccontextmanager
async def deadline(address: str, seconds: float) -> AsyncIterator[None]:
    """Bound one operation.

    Raises `StoreTimeout` after `seconds`, and another StoreError for an error of asyncpg.
    """
    try:
        async with within(seconds):
            yield
    except TimeoutError as error:
        raise timeout_error(address, seconds) from error
    except DRIVER_ERRORS as error:
        quotes_rows = isinstance(error, PostgresError)
        raise to_store_error(error, address) from (None if quotes_rows else error)


def timeout_error(address: str, seconds: float) -> StoreTimeout:
    return StoreTimeout(f"{address} didn't answer within {seconds} s: {SLOW}")


async def run_until(connections: Connections, work: Callable[[Any], Awaitable[T]], seconds: float) -> T:
    """Do `work` on a connection, again while the server undoes it for another's sake.

    It is repeated for up to `seconds`.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    while True:
        try:
            async with connections.acquire() as connection:
                return await work(connection)
        except DRIVER_ERRORS as error:
            if is_read_only(error):  # a failover has made this server a standby, on all of its connections
                await connections.forget_idle()
            if not is_undone(error) or loop.time() > give_up:
                raise
        await asyncio.sleep(random.uniform(0.001, 0.02))
