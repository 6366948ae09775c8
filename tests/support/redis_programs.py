"""The servers that speak Redis' protocol: a module with these fixtures tests on each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from .external_servers import redis_database
from .redis_server import REDIS, VALKEY, RedisServer, running_redis


@pytest.fixture(
    scope="module",
    params=[pytest.param(REDIS, id="redis"), pytest.param(VALKEY, id="valkey", marks=pytest.mark.exhaustive)],
)
def redis_program(request: pytest.FixtureRequest) -> str:
    program: str = request.param
    return program


@pytest.fixture(scope="module")
def redis_server(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), redis_program) as server:
        yield server


@pytest.fixture(scope="module")
def redis_url(redis_program: str, redis_server: RedisServer) -> Iterator[str]:
    """The URL of the server that the environment names, if it does: that is a Redis."""
    given = os.environ.get("SESSIONS_TEST_REDIS") if redis_program == REDIS else None
    with redis_database(given) if given else nullcontext(redis_server.url) as url:
        yield url
