"""Weighted Redis servers, with PHP itself: its sessions are found here, and ours there."""

from __future__ import annotations

import random
import string
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from starlette_sessions_ext import RedisStore
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.redis.sharded import DEFAULT_PREFIX, pick

from ...support.asyncio_only import anyio_backend as anyio_backend
from ...support.redis_programs import redis_program as redis_program
from ...support.redis_server import RedisServer
from ...support.servers import running

pytestmark = pytest.mark.anyio

VISIT = """
while ($id = trim(fgets(STDIN))) {
    session_id($id);
    session_start();
    echo $_SESSION['seen'] ?? 'nothing', "\\n";
    $_SESSION['seen'] = $id;
    session_write_close();
}
"""

WEIGHTS = pytest.mark.parametrize("weights", [[1], [1, 1], [3, 1], [1, 2, 4], [5, 2, 1], [2, 7, 2]], ids=str)


@pytest.fixture(scope="module")
def servers(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, ...]]:
    folder = tmp_path_factory.mktemp("phpredis")
    with running(*(RedisServer(folder, "--save", "", program=redis_program) for _ in range(3))) as started:
        yield started


@pytest.fixture
def path(servers: tuple[RedisServer, ...], weights: list[int]) -> str:
    """A save path for empty servers."""
    for server in servers:
        with Redis.from_url(server.url) as client:
            client.flushall()
    places = zip(servers, weights, strict=False)
    return ", ".join(f"tcp://127.0.0.1:{server.port}?weight={weight}" for server, weight in places)


def visit(path: str, ids: list[str]) -> list[str]:
    """Start these sessions in PHP, one after another: what each had seen before."""
    settings: dict[str, Any] = {
        "save_handler": "redis",
        "save_path": f'"{path}"',
        "use_cookies": 0,
        "use_strict_mode": 0,
        "cache_limiter": '""',
    }
    options = [f"-dsession.{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        ["php", *options, "-ddisplay_errors=stderr", "-r", VISIT],
        input="\n".join(ids),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def php_id() -> str:
    """An id as PHP makes them, with `session.sid_bits_per_character` at 4, 5 or 6."""
    alphabet = string.digits + string.ascii_lowercase + string.ascii_uppercase + "-,"
    return "".join(random.choices(alphabet[: random.choice([16, 32, 64])], k=random.randint(22, 40)))


@WEIGHTS
def test_php_chooses_the_server_that_we_choose(servers: tuple[RedisServer, ...], path: str, weights: list[int]) -> None:
    ids = [php_id() for _ in range(200)] + [key_of(new_id()) for _ in range(200)]
    assert visit(path, ids) == ["nothing"] * len(ids)
    for index, server in enumerate(servers):
        with Redis.from_url(server.url) as client:
            there = {key.decode() for key in client.scan_iter()}
        assert there == {DEFAULT_PREFIX + id for id in ids if pick(weights, id) == index}


@WEIGHTS
async def test_each_finds_what_the_other_wrote(path: str) -> None:
    theirs, ours = [[key_of(new_id()) for _ in range(50)] for _ in range(2)]
    visit(path, theirs)
    async with RedisStore.from_save_path(path) as store:
        for key in theirs:
            row = await store.load(key)
            assert row is not None
            assert row.data == f'seen|s:32:"{key}";'.encode()
        for key in ours:
            assert await store.create(key, b'seen|s:4:"here";', 2_000_000_000)
    assert visit(path, ours) == ["here"] * len(ours)
