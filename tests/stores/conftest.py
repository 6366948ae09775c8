"""Fixtures for the tests of all stores, next to their store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from starlette_sessions_ext.testing import FakeClock

from ..support.patient_stores import patient_stores as patient_stores
from ..support.redis_server import REDIS, RedisServer, running_cluster


@pytest.fixture
def soon(clock: FakeClock) -> int:
    """A time an hour from now."""
    return int(clock()) + 3600


@pytest.fixture(scope="module")
def redis_program() -> str:
    """What to start; `redis_programs` has the fixture for modules that run on each."""
    return REDIS


@pytest.fixture(scope="module")
def cluster(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, ...]]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), program=redis_program) as nodes:
        yield nodes
