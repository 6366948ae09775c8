from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from starlette_sessions_ext.testing import FakeClock

from .mariadb_server import MariaDBServer, make_databases, running_mariadb
from .mongo_server import MongoServer, running_mongo
from .redis_server import RedisServer, running_redis

# How long an example takes says more about the machine than about the package.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[None]:
    """A blocking call on the event loop, from the package, fails the test."""
    blocker = BlockBuster("starlette_sessions_ext")
    for name in ("os.stat", "io.TextIOWrapper.read", "io.BufferedReader.read", "os.listdir", "os.scandir"):
        if name in blocker.functions:  # redis-py reads its own version from disk for each new connection
            blocker.functions[name].can_block_in("redis/utils.py", "get_lib_version")
    # pymongo looks once per client whether it runs in a container.
    blocker.functions["os.stat"].can_block_in("pymongo/pool_options.py", "get_container_env_info")
    blocker.activate()
    try:
        yield
    finally:
        blocker.deactivate()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        make_databases(server)
        yield server


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis", "mysql", "mongo"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store that processes can share."""
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        return redis.url
    if request.param == "mysql":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        mariadb.run("DELETE FROM session_data", "fresh")
        return mariadb.url("fresh")
    if request.param == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo_server")
        return mongo.url
    return f"sqlite:///{tmp_path / 'sessions.db'}"
