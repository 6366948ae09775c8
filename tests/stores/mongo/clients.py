"""Clients of the tests' own, and what they send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from starlette_sessions_ext import SessionStore, Stored
from starlette_sessions_ext.testing import FaultProxy

DRIVERS = pytest.mark.parametrize("driver", [AsyncMongoClient, AsyncIOMotorClient], ids=["pymongo", "motor"])


async def load(store: SessionStore, key: str) -> Stored:
    row = await store.load(key)
    assert row is not None
    return row


async def until(done: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not done():
            await anyio.sleep(0.02)


class Sent(CommandListener):
    """The commands that a client sent."""

    def __init__(self) -> None:
        self.commands: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.commands]


async def one_of_each(store: SessionStore, key: str, soon: int) -> None:
    assert await store.create(key, b"one", soon)
    version = (await load(store, key)).version
    assert await store.replace(key, b"two", soon, version)
    assert await store.touch(key, soon + 60)
    assert await store.delete(key)


@asynccontextmanager
async def client_of(driver: Any, url: str, **options: Any) -> AsyncIterator[Any]:
    """A client of `AsyncMongoClient` or motor."""
    client = driver(url, **options)
    try:
        yield client
    finally:
        if driver is AsyncMongoClient:
            await client.close()
        else:  # motor's waits for its threads, and they for a proxy on this loop
            await anyio.to_thread.run_sync(client.close)


def through(proxy: FaultProxy) -> str:
    """With heartbeats that are asked for: one that the server sends by itself could be taken for a reply."""
    return f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true&serverMonitoringMode=poll"
