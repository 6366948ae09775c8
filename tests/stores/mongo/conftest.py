from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from starlette_sessions_ext import MongoStore
from starlette_sessions_ext.testing import FakeClock

from ...support.event_loops import anyio_backend as anyio_backend
from ...support.mongo_server import MongoServer, running_replica_set


@pytest.fixture(scope="module")
def control(mongo_server: MongoServer) -> Iterator[MongoClient[Any]]:
    """A client of the tests' own."""
    with MongoClient[Any](mongo_server.url) as client:
        yield client


@pytest.fixture
def rows(control: MongoClient[Any]) -> Collection[Any]:
    """The documents, of which there are none yet."""
    control.session.session_data.delete_many({})
    return control.session.session_data


@pytest.fixture
async def store(mongo_server: MongoServer, rows: Collection[Any], clock: FakeClock) -> AsyncIterator[MongoStore]:
    async with MongoStore(mongo_server.url, clock=clock) as store:
        yield store


@pytest.fixture
def validated(control: MongoClient[Any]) -> str:
    """A collection that refuses every document."""
    control.session.drop_collection("validated")
    control.session.create_collection("validated", validator={"never": {"$exists": True}})
    return "validated"


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running_replica_set(tmp_path_factory.mktemp("mongo")) as server:
        yield server
