"""Sessions in Redis that a real PHP with phpredis and `PHPRedisStore` use at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis, RedisCluster

from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php import dumps
from starlette_sessions_ext.php.redis import PHPRedisStore

from ..support.asyncio_only import anyio_backend
from ..support.php_server import PHPServer
from ..support.redis_server import RedisServer, running_cluster
from ..support.servers import running
from .hits import (
    CLIENTS,
    LIFETIME,
    alternate,
    get,
    in_parallel,
    in_parallel_under_locks,
    python_in_parallel,
    read,
    soon,
)

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

Servers = tuple[PHPServer, ...]

LOCKING = {
    "redis.session.locking_enabled": 1,
    "redis.session.lock_retries": -1,
    "redis.session.lock_wait_time": 2000,
    "redis.session.lock_expire": 30,
}


def running_php(folder: Path, save_path: str, count: int = 1, **settings: object) -> AbstractContextManager[Servers]:
    settings = {"session.save_handler": "redis", "session.save_path": save_path, **settings}
    return running(*(PHPServer(folder, settings, ("igbinary", "redis")) for _ in range(count)))


@pytest.fixture(scope="module")
def servers(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running_php(tmp_path_factory.mktemp("php"), f"tcp://127.0.0.1:{redis_server.port}", CLIENTS) as started:
        yield started


@pytest.fixture(scope="module")
def locking_servers(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    path = f"tcp://127.0.0.1:{redis_server.port}"
    with running_php(tmp_path_factory.mktemp("php"), path, CLIENTS, **LOCKING) as started:
        yield started


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[PHPRedisStore]:
    async with PHPRedisStore(f"tcp://127.0.0.1:{redis_server.port}") as store:
        yield store


@pytest.fixture
async def locking_store(redis_server: RedisServer) -> AsyncIterator[PHPRedisStore]:
    async with PHPRedisStore(f"tcp://127.0.0.1:{redis_server.port}", locking=True, timeout=30) as store:
        yield store


@pytest.fixture
async def key(store: PHPRedisStore) -> str:
    """The id of a session that Python has made."""
    key = key_of(new_id())
    assert await store.create(key, dumps({"by": "python"}, "php"), soon())
    return key


async def test_hits_that_alternate_are_counted(store: PHPRedisStore, servers: Servers, key: str) -> None:
    await alternate(store, servers, key, 200)


async def test_parallel_hits_of_python_are_counted(store: PHPRedisStore, key: str) -> None:
    await python_in_parallel(store, key, 200)


async def test_parallel_hits_destroy_nothing(store: PHPRedisStore, servers: Servers, key: str) -> None:
    await in_parallel(store, servers, key, 200)


async def test_parallel_hits_under_locks_are_counted(
    locking_store: PHPRedisStore, locking_servers: Servers, key: str
) -> None:
    await in_parallel_under_locks(locking_store, locking_servers, key, 200)


@pytest.mark.slow
async def test_2000_hits_that_alternate_are_counted(store: PHPRedisStore, servers: Servers, key: str) -> None:
    await alternate(store, servers, key, 2000)


@pytest.mark.slow
async def test_2000_parallel_hits_destroy_nothing(store: PHPRedisStore, servers: Servers, key: str) -> None:
    await python_in_parallel(store, key, 2000)
    key = key_of(new_id())
    assert await store.create(key, dumps({"by": "python"}, "php"), soon())
    assert await in_parallel(store, servers, key, 2000) > 0, "PHP never overwrote anything: it proves nothing"


@pytest.mark.slow
async def test_2000_parallel_hits_under_locks_are_counted(
    locking_store: PHPRedisStore, locking_servers: Servers, key: str
) -> None:
    await in_parallel_under_locks(locking_store, locking_servers, key, 2000)


async def test_an_end_on_either_side_is_one_on_both(store: PHPRedisStore, servers: Servers, key: str) -> None:
    version = dumps({"by": "python"}, "php")
    await get(servers[0], "session.php?do=destroy", key)
    assert await store.load(key) is None
    assert not await store.replace(key, b"", soon(), version)
    assert await store.create(key, version, soon())
    assert await store.delete(key)
    assert (await get(servers[0], "session.php", key))["session"] == []


async def test_an_id_that_php_has_replaced_is_gone(store: PHPRedisStore, servers: Servers, key: str) -> None:
    new = (await get(servers[0], "session.php?do=regenerate", key))["id"]
    assert await store.load(key) is None
    assert await read(store, new) == {"by": "python"}


async def test_a_page_that_changes_nothing_moves_the_expiry(store: PHPRedisStore, servers: Servers, key: str) -> None:
    assert await store.touch(key, soon() - LIFETIME // 2)
    await get(servers[0], "session.php", key)
    row = await store.load(key)
    assert row is not None
    assert row.data == row.version == dumps({"by": "python"}, "php")
    assert row.expires_at >= soon() - 60


async def test_a_session_that_php_has_emptied_is_empty(store: PHPRedisStore, servers: Servers, key: str) -> None:
    await get(servers[0], "session.php?do=clear", key)
    assert await read(store, key) == {}


async def test_a_logout_holds_against_a_page_that_has_the_lock(
    locking_store: PHPRedisStore, locking_servers: Servers, key: str, tmp_path: Path
) -> None:
    """The page changes the session after Python has asked to delete it: it is gone all the same."""
    flag = tmp_path / "flag"
    async with anyio.create_task_group() as group:
        group.start_soon(get, locking_servers[0], f"session.php?do=slow&ms=300&flag={flag}", key)
        while not flag.exists():
            await anyio.sleep(0.001)
        assert await locking_store.delete(key)
    assert await locking_store.load(key) is None


async def test_php_picks_the_same_server(tmp_path: Path) -> None:
    with running(*(RedisServer(tmp_path, "--save", "") for _ in range(2))) as redis:
        path = ",".join(
            f"tcp://127.0.0.1:{one.port}?weight={weight}" for one, weight in zip(redis, (1, 3), strict=True)
        )
        with running_php(tmp_path, path) as [server]:
            async with PHPRedisStore(path) as store:
                for _ in range(20):
                    key = key_of(new_id())
                    assert await store.create(key, dumps({"by": "python"}, "php"), soon())
                    assert (await get(server, "session.php?do=count", key))["session"]["by"] == "python"
                    assert (await read(store, key))["count"] == 1


async def test_a_cluster_is_shared(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as nodes:
        path = "&".join(f"seed[]=127.0.0.1:{node.port}" for node in nodes)
        settings: dict[str, Any] = {"session.save_handler": "rediscluster"}
        with running_php(tmp_path, path, **settings) as [server]:
            async with RedisCluster("127.0.0.1", nodes[0].port) as client, PHPRedisStore(client) as store:
                for _ in range(10):
                    key = key_of(new_id())
                    assert await store.create(key, dumps({"by": "python"}, "php"), soon())
                    await alternate(store, [server], key, 4)


async def test_no_lock_is_left(redis_server: RedisServer, locking_store: PHPRedisStore, key: str) -> None:
    assert await locking_store.replace(key, b"", soon(), dumps({"by": "python"}, "php"))
    assert await locking_store.delete(key)
    client: Any
    async with Redis.from_url(redis_server.url) as client:
        assert await client.keys("*_LOCK") == []
