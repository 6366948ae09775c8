from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.collection import Collection

from starlette_sessions_ext import MongoStore
from starlette_sessions_ext.testing import FakeClock, FaultProxy, NetworkStoreContract

from ...support.mongo_server import MongoServer
from .clients import client_of, through

# A call that is cancelled while pymongo connects leaves its socket to the garbage collector. `collected` has it
# found while this filter holds, not in another module's test.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]


@pytest.fixture
def collected(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "cancelled" in request.node.name:
        gc.collect()


class TestURL(NetworkStoreContract):
    @asynccontextmanager
    async def given(self, url: str) -> AsyncIterator[Any]:
        """What the store is made from."""
        yield url

    @pytest.fixture
    async def store(self, mongo_url: str, clock: FakeClock, collected: None) -> AsyncIterator[MongoStore]:
        with MongoClient[Any](mongo_url) as client:
            client.get_default_database().session_data.delete_many({})
        async with self.given(mongo_url) as given, MongoStore(given, clock=clock) as store:
            yield store

    @pytest.fixture
    async def proxy(self, mongo_server: MongoServer, rows: Collection[Any]) -> AsyncIterator[FaultProxy]:
        async with FaultProxy("127.0.0.1", mongo_server.port) as proxy:
            yield proxy

    @pytest.fixture
    async def proxied(self, proxy: FaultProxy, clock: FakeClock) -> AsyncIterator[MongoStore]:
        async with self.given(through(proxy)) as given:
            async with MongoStore(given, timeout=self.timeout, clock=clock) as store:
                yield store
                proxy.silent = False
                proxy.reset()  # a client says goodbye, and waits for an answer


class TestGivenCollection(TestURL):
    @asynccontextmanager
    async def given(self, url: str) -> AsyncIterator[Any]:
        async with client_of(AsyncMongoClient, url) as client:
            yield client.get_default_database("session").session_data


class TestGivenCollectionOfMotor(TestURL):
    @asynccontextmanager
    async def given(self, url: str) -> AsyncIterator[Any]:
        async with client_of(AsyncIOMotorClient, url) as client:
            yield client.get_default_database("session").session_data
