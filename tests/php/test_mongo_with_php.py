"""Documents that a real PHP and `PHPMongoStore` use at the same time, as Phalcon's adapter Mongo keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import pytest
from pymongo import MongoClient

from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php import dumps
from starlette_sessions_ext.php.mongo import PHPMongoStore

from ..support.asyncio_only import anyio_backend
from ..support.mongo_server import MongoServer
from ..support.php_server import PHPServer
from ..support.servers import running
from .hits import CLIENTS, alternate, get, in_parallel, python_in_parallel, read, soon

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

PAGE = "mongo.php"
Servers = tuple[PHPServer, ...]


@pytest.fixture(scope="module")
def servers(mongo_server: MongoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    settings: dict[str, object] = {"test.mongo": mongo_server.url}
    folder = tmp_path_factory.mktemp("php")
    with running(*(PHPServer(folder, settings, ["mongodb"]) for _ in range(CLIENTS))) as started:
        yield started


@pytest.fixture
async def store(mongo_server: MongoServer) -> AsyncIterator[PHPMongoStore]:
    async with PHPMongoStore(f"{mongo_server.url}/php_shared") as store:
        yield store


@pytest.fixture
async def key(store: PHPMongoStore) -> str:
    return await new_session(store)


async def new_session(store: PHPMongoStore) -> str:
    """Make a session in Python, and return its id."""
    key = key_of(new_id())
    assert await store.create(key, dumps({"by": "python"}, "php"), soon())
    return key


async def test_hits_that_alternate_are_counted(store: PHPMongoStore, servers: Servers, key: str) -> None:
    await alternate(store, servers, key, 100, PAGE)


async def test_parallel_hits_of_python_are_counted(store: PHPMongoStore, key: str) -> None:
    await python_in_parallel(store, key, 100)


async def test_parallel_hits_destroy_nothing(store: PHPMongoStore, servers: Servers, key: str) -> None:
    await in_parallel(store, servers, key, 100, PAGE)


@pytest.mark.slow
async def test_2000_hits_that_alternate_are_counted(store: PHPMongoStore, servers: Servers, key: str) -> None:
    await alternate(store, servers, key, 2000, PAGE)


@pytest.mark.slow
async def test_2000_parallel_hits_destroy_nothing(store: PHPMongoStore, servers: Servers, key: str) -> None:
    await python_in_parallel(store, key, 2000)
    other = await new_session(store)
    assert await in_parallel(store, servers, other, 2000, PAGE) > 0, "PHP never overwrote anything: it proves nothing"


async def test_an_end_on_either_side_is_one_on_both(store: PHPMongoStore, servers: Servers, key: str) -> None:
    version = dumps({"by": "python"}, "php")
    await get(servers[0], f"{PAGE}?do=destroy", key)
    assert await store.load(key) is None
    assert not await store.replace(key, b"", soon(), version)
    assert await store.create(key, version, soon())
    assert await store.delete(key)
    assert (await get(servers[0], PAGE, key))["session"] == []


async def test_what_php_makes_is_read(store: PHPMongoStore, servers: Servers) -> None:
    key = "abcdefghijklmnopqrstuv0123"
    await store.delete(key)
    await get(servers[0], f"{PAGE}?do=set&key=name&value=%F0%9F%90%98", key)
    assert await read(store, key) == {"name": "🐘"}
    row = await store.load(key)
    assert row is not None
    assert 0 <= soon() - row.expires_at < 60


async def test_what_php_collects_isnt_what_python_uses(
    store: PHPMongoStore, servers: Servers, mongo_server: MongoServer, key: str
) -> None:
    """The adapter deletes by `modified`, which a page that changes nothing doesn't move."""
    with MongoClient[Any](mongo_server.url) as client:
        rows = client.php_shared.session_data
        assert await store.touch(key, soon() - 1000)
        before = rows.find_one({"_id": key})["modified"]  # type: ignore[index]
        await get(servers[0], PAGE, key)
        assert rows.find_one({"_id": key})["modified"] == before  # type: ignore[index]
        assert await store.touch(key, soon())
        after: datetime = rows.find_one({"_id": key})["modified"]  # type: ignore[index]
        assert (after - before).total_seconds() >= 900
