"""Run a statement within an operation's budget, and translate asyncmy's errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...errors import StoreTimeout
from .._support.loop_local import within
from .connections import Connections, Reply, execute
from .errors import DRIVER_ERRORS, SLOW, is_deadlock, to_store_error


@asynccontextmanager
async def deadline(address: str, seconds: float) -> AsyncIterator[None]:
    """Bound one operation.

    Raises `StoreTimeout` after `seconds`, and another StoreError for an error of asyncmy.
    """
    try:
        async with within(seconds):
            yield
    except TimeoutError as error:
        raise StoreTimeout(f"{address} didn't answer within {seconds} s: {SLOW}") from error
    except DRIVER_ERRORS as error:
        raise to_store_error(error, address) from error


async def execute_until(
    connections: Connections, statement: str, values: tuple[str | bytes | int | None, ...], seconds: float
) -> Reply:
    """Execute a statement, again while it is the victim of a deadlock.

    It is repeated for up to `seconds`.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    while True:
        try:
            async with connections.acquire() as connection:
                return await execute(connection, statement, values)
        except DRIVER_ERRORS as error:
            if not is_deadlock(error) or loop.time() > give_up:
                raise
        await asyncio.sleep(random.uniform(0.001, 0.02))
