"""Fixtures and settings of every test; conftest.py at the top loads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.testing import FakeClock

from .external_servers import mongo_database, mysql_database, postgresql_database, redis_database
from .mariadb_server import MariaDBServer, empty, make_databases, running_mariadb
from .mongo_server import MongoServer, leave_sockets_to_collector, running_mongo
from .needed_servers import install_if_needed
from .postgresql_server import PostgreSQLServer, running_postgresql
from .postgresql_server import empty as empty_postgresql
from .postgresql_server import make_databases as make_postgresql_databases
from .redis_server import RedisServer, running_redis

# How long an example takes says more about the machine than about the package.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

TICKS = {0, 1, 2, 4, 8, 16}
"""Where a call is interrupted by default, in steps of the event loop."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what repeats a case at another tick: `exhaustive`. Leave it out where something else is repeated as well."""
    repeated = [item for item in items if _ticks(item) not in TICKS]
    twice = {item for item in repeated if item.get_closest_marker("exhaustive")}
    for item in repeated:
        item.add_marker("exhaustive")
    items[:] = [item for item in items if item not in twice]
    config.hook.pytest_deselected(items=list(twice))


def _ticks(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    ticks: int = callspec.params.get("ticks", 0) if callspec else 0
    return ticks


def pytest_collection_finish(session: pytest.Session) -> None:
    install_if_needed(session.items)


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[None]:
    """A blocking call on the event loop, from the package, fails the test."""
    blocker = BlockBuster("starlette_sessions_ext")
    for name in ("os.stat", "io.TextIOWrapper.read", "io.BufferedReader.read", "os.listdir", "os.scandir"):
        if name in blocker.functions:  # redis-py reads its own version from disk for each new connection
            blocker.functions[name].can_block_in("redis/utils.py", "get_lib_version")
    # pymongo looks once per client whether it runs in a container.
    blocker.functions["os.stat"].can_block_in("pymongo/pool_options.py", "get_container_env_info")
    # asyncpg looks for libpq's files of passwords and certificates before it connects.
    for function in blocker.functions.values():
        function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
    # Coverage takes a lock where a thread begins to run another file of the package.
    blocker.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
    blocker.activate()
    try:
        yield
    finally:
        blocker.deactivate()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def key() -> str:
    """The key of a session that isn't stored yet; to PHP it is an id."""
    return key_of(new_id())


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
def postgresql() -> Iterator[PostgreSQLServer]:
    with running_postgresql() as server:
        make_postgresql_databases(server)
        yield server


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[MongoServer]:
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        leave_sockets_to_collector(pytestconfig, server)
        yield server


# Where a store is only asked for by its URL, servers that the environment names take the place of the run's own.


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    given = os.environ.get("SESSIONS_TEST_REDIS")
    with redis_database(given) if given else nullcontext(request.getfixturevalue("redis_server").url) as url:
        yield url


@pytest.fixture(scope="session")
def mysql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    given = os.environ.get("SESSIONS_TEST_MYSQL")
    with mysql_database(given) if given else nullcontext(request.getfixturevalue("mariadb").url("fresh")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    given = os.environ.get("SESSIONS_TEST_POSTGRESQL")
    with postgresql_database(given) if given else nullcontext(request.getfixturevalue("postgresql").url()) as url:
        yield url


class HandlerSocketURLs(NamedTuple):
    """The store's on the table `php_session` of a database, and that of the database for SQL."""

    store: str
    mysql: str


@pytest.fixture(scope="session")
def handlersocket_urls(request: pytest.FixtureRequest) -> HandlerSocketURLs:
    """On the server that the environment names, if it does: SESSIONS_TEST_MYSQL then names the same one."""
    given = os.environ.get("SESSIONS_TEST_HANDLERSOCKET")
    if given:
        mysql: str = request.getfixturevalue("mysql_url")
        return HandlerSocketURLs(urlsplit(given)._replace(path=f"{urlsplit(mysql).path}/php_session").geturl(), mysql)
    server: MariaDBServer = request.getfixturevalue("mariadb")
    return HandlerSocketURLs(server.handlersocket_url("fresh"), server.url("fresh"))


@pytest.fixture(scope="session")
def handlersocket_url(handlersocket_urls: HandlerSocketURLs) -> str:
    return handlersocket_urls.store


@pytest.fixture(scope="session")
def mongo_url(request: pytest.FixtureRequest) -> Iterator[str]:
    given = os.environ.get("SESSIONS_TEST_MONGO")
    with (
        mongo_database(given) if given else nullcontext(request.getfixturevalue("mongo_server").url + "/session") as url
    ):
        yield url


@pytest.fixture(params=["sqlite", "redis", "mysql", "postgresql", "mongo", "handlersocket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store that processes can share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sessions.db'}"
    if request.param == "mysql":
        empty(request.getfixturevalue("mysql_url"), "session_data")
    if request.param == "postgresql":
        empty_postgresql(request.getfixturevalue("postgresql_url"))
    if request.param == "handlersocket":
        empty(request.getfixturevalue("handlersocket_urls").mysql, "php_session")
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
