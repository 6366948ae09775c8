"""After any fault PHP opens each session that was acknowledged, with what was acknowledged last, or what came after."""

from __future__ import annotations

import base64
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import SessionError, SessionTooLarge, StoreFull
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php import dumps
from starlette_sessions_ext.php.redis import PHPRedisStore
from starlette_sessions_ext.stores.base import SessionStore
from starlette_sessions_ext.testing import FaultProxy

from ..support.asyncio_only import anyio_backend
from ..support.php_server import PHPServer
from ..support.redis_server import RedisServer
from ..support.servers import die_with_parent, running
from .hits import get, read, soon
from .sharing import IN_TABLES, STORES, WITH_SERVER, Place, Sharing, in_redis, place_of

__all__ = ["anyio_backend"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KILLS = 30
SESSIONS = 4
LENGTHS = (*range(12), 20, 40, 80)
"""Bytes of a reply after which it is cut; many are shorter than the longest of these, and then all of it comes."""


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(request.param, request, tmp_path)


@pytest.fixture
def sharing(place: Place) -> Sharing:
    return place.sharing(place.port)


@pytest.fixture
def php(sharing: Sharing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PHPServer]:
    with running(sharing.php(tmp_path_factory.mktemp("php"))) as [server]:
        yield server


@pytest.fixture
async def store(sharing: Sharing) -> AsyncIterator[SessionStore]:
    async with sharing.store() as store:
        yield store


@pytest.fixture
async def keys(store: SessionStore) -> list[str]:
    return [await new_session(store) for _ in range(SESSIONS)]


async def new_session(store: SessionStore) -> str:
    """Make a session in Python, and return its id."""
    key = key_of(new_id())
    assert await store.create(key, dumps({"by": "python", "acked": 0, "count": 0}, "php"), soon())
    return key


async def opened(php: PHPServer, sharing: Sharing, key: str) -> Any:
    """Let PHP open a session, and return it."""
    session = (await get(php, sharing.page, key))["session"]
    assert session["by"] == "python", "PHP destroyed the session, or found none"
    return session


every_store = pytest.mark.parametrize("place", STORES, indirect=True)
every_server = pytest.mark.parametrize("place", WITH_SERVER, indirect=True)

WRITERS = """
import asyncio, base64, os, pickle, sys
from starlette_sessions_ext.php import dumps, loads

sharing, expires_at, keys = pickle.loads(base64.b64decode(sys.argv[1]))

async def write(store, key):
    while True:
        row = await store.load(key)
        number = loads(row.data, "php")["acked"] + 1
        data = dumps({"by": "python", "acked": number, "count": 0, "text": "\\u00e9" * (number * 37 % 900)}, "php")
        if await store.replace(key, data, expires_at, row.version):  # what a killed writer has sent may come later
            os.write(1, f"{key} {number}\\n".encode())  # in one piece, or it may be killed in the middle

async def write_until_killed():
    async with sharing.store(timeout=20) as store:
        await asyncio.gather(*(write(store, key) for key in keys))

for _ in sys.stdin:
    writer = os.fork()
    if not writer:
        asyncio.run(write_until_killed())
    print("started", writer, flush=True)
    os.waitpid(writer, 0)
    print("killed", 0, flush=True)
"""


@every_store
async def test_python_is_killed_while_it_writes(
    php: PHPServer, sharing: Sharing, keys: list[str], tmp_path: Path
) -> None:
    """With kill -9, after another number of writes each time, while each session is being written."""
    given = base64.b64encode(pickle.dumps((sharing, soon(), keys))).decode()
    command = [*die_with_parent(), sys.executable, "-c", WRITERS, given]
    source = random.Random(1)
    acked = dict.fromkeys(keys, 0)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for _ in range(KILLS):
            await anyio.to_thread.run_sync(_write_and_kill, writers, source.randrange(1, 100), acked)
            for key in keys:
                session = await opened(php, sharing, key)
                assert session["acked"] in (acked[key], acked[key] + 1), "one may have been under way"
                acked[key] = session["acked"]


def _write_and_kill(writers: subprocess.Popen[str], writes: int, acked: dict[str, int]) -> None:
    """Let a process write, and kill it after a number of writes. Note what was acknowledged until then."""
    assert writers.stdin is not None
    writers.stdin.write("next\n")
    writer = None
    while writer is None or writes > 0:  # it may be quicker than its parent
        word, number = _said(writers)
        assert word != "killed", "it ended before that, by an error"
        if word == "started":
            writer = number
        else:
            acked[word] = number
            writes -= 1
    os.kill(writer, signal.SIGKILL)
    while (said := _said(writers))[0] != "killed":
        acked[said[0]] = said[1]


def _said(writers: subprocess.Popen[str]) -> tuple[str, int]:
    assert writers.stdout is not None
    line = writers.stdout.readline()
    assert len(line.split()) == 2, line
    word, number = line.split()
    return word, int(number)


@every_store
async def test_php_is_killed_while_it_counts(
    php: PHPServer, store: SessionStore, sharing: Sharing, keys: list[str], place: Place
) -> None:
    """With kill -9, after another number of pages each time, while a page is on its way."""
    source = random.Random(2)
    acked = dict.fromkeys(keys, 0)
    for _ in range(KILLS // 3):
        under_way = await _click_and_kill(php, sharing.page, source.randrange(1, 50), acked)
        await anyio.to_thread.run_sync(php.start)
        if place.port == 0:  # PHP itself cuts a file before it writes
            del acked[under_way]
            acked[await new_session(store)] = 0
        for key in acked:
            assert (await read(store, key))["count"] in (acked[key], acked[key] + 1)
            acked[key] = (await opened(php, sharing, key))["count"]


async def _click_and_kill(php: PHPServer, page: str, clicks: int, acked: dict[str, int]) -> str:
    """Let pages count in all sessions in turn, and kill PHP after a number of them. Return the last session's id."""
    keys = list(acked)
    enough = anyio.Event()
    under_way = ""

    async def click() -> None:
        nonlocal under_way
        with suppress(OSError, HTTPException, ValueError):  # it is killed
            for number in count():
                if number == clicks:
                    enough.set()
                under_way = keys[number % SESSIONS]
                acked[under_way] = (await get(php, f"{page}?do=count", under_way))["session"]["count"]

    async with anyio.create_task_group() as group:
        group.start_soon(click)
        await enough.wait()
        await anyio.to_thread.run_sync(php.stop)
    return under_way


@every_store
async def test_php_is_killed_between_reading_and_writing(
    php: PHPServer, store: SessionStore, sharing: Sharing, keys: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its lock goes with it, and Python writes on."""
    flag = tmp_path_factory.mktemp("flag") / "reached"
    page = f"{sharing.page}?do=slow&ms=60000&flag={flag}"
    async with anyio.create_task_group() as group:

        async def click() -> None:
            with suppress(OSError):
                await get(php, page, keys[0])

        group.start_soon(click)
        while not flag.exists():
            await anyio.sleep(0.001)
        await anyio.to_thread.run_sync(php.stop)
    row = await store.load(keys[0])
    assert row is not None
    data = dumps({"by": "python", "acked": 1}, "php")
    assert await store.replace(keys[0], data, soon(), row.version)
    await anyio.to_thread.run_sync(php.start)
    assert await opened(php, sharing, keys[0]) == {"by": "python", "acked": 1}


@every_server
async def test_a_reply_to_python_is_cut(php: PHPServer, store: SessionStore, place: Place, keys: list[str]) -> None:
    """After each of these numbers of bytes."""
    sharing = place.sharing(place.port)
    current = 0
    async with FaultProxy("127.0.0.1", place.port) as proxy:
        async with place.sharing(proxy.port).store() as proxied:
            for length in LENGTHS:
                row = await store.load(keys[0])
                assert row is not None
                proxy.cut_reply(length)
                data = dumps({"by": "python", "acked": length + 1, "text": "é" * length}, "php")
                acked = False
                with suppress(SessionError):
                    acked = await proxied.replace(keys[0], data, soon(), row.version)
                proxy.heal()
                session = await opened(php, sharing, keys[0])
                assert session["acked"] in ({length + 1} if acked else {current, length + 1})
                current = session["acked"]


@every_server
async def test_a_reply_to_php_is_cut(
    php: PHPServer, store: SessionStore, place: Place, keys: list[str], tmp_path: Path
) -> None:
    """After each of these numbers of bytes. The page may fail, but it harms nothing.

    phpredis 5.3.7 waits for good after a part of a reply.
    """
    sharing = place.sharing(place.port)
    counted = 0
    async with FaultProxy("127.0.0.1", place.port) as proxy:
        proxied = place.sharing(proxy.port)
        with running(proxied.php(tmp_path)) as [cut]:
            for length in LENGTHS if sharing.kind is not PHPRedisStore else (0,):
                proxy.cut_reply(length)
                with suppress(RuntimeError, ValueError):
                    await get(cut, f"{proxied.page}?do=count", keys[0])
                proxy.heal()
                session = await opened(php, sharing, keys[0])
                assert session["count"] in (counted, counted + 1)
                counted = session["count"]


@pytest.mark.parametrize("place", IN_TABLES, indirect=True)
async def test_a_column_is_full(php: PHPServer, store: SessionStore, sharing: Sharing, keys: list[str]) -> None:
    row = await store.load(keys[0])
    assert row is not None
    largest = {"by": "python", "text": "x" * (65_535 - len(dumps({"by": "python", "text": ""}, "php")) - 4)}
    assert len(dumps(largest, "php")) == 65_535
    larger = {**largest, "text": largest["text"] + "x"}
    with pytest.raises(SessionTooLarge):
        await store.replace(keys[0], dumps(larger, "php"), soon(), row.version)
    assert (await opened(php, sharing, keys[0]))["acked"] == 0
    row = await store.load(keys[0])
    assert row is not None
    assert await store.replace(keys[0], dumps(largest, "php"), soon(), row.version)
    assert await opened(php, sharing, keys[0]) == largest


async def test_the_memory_of_redis_is_full(tmp_path: Path) -> None:
    with running(RedisServer(tmp_path, "--save", "", "--maxmemory", "8mb")) as [redis]:
        sharing = in_redis(redis.port)
        with running(sharing.php(tmp_path)) as [php]:
            async with sharing.store() as store:
                data = dumps({"by": "python", "text": "x" * 100_000}, "php")
                acked = []
                with suppress(StoreFull):
                    while True:
                        key = key_of(new_id())
                        assert await store.create(key, data, soon())
                        acked.append(key)
                with pytest.raises(StoreFull):
                    await store.replace(acked[0], data + data, soon(), data)
                for key in acked:
                    assert len((await opened(php, sharing, key))["text"]) == 100_000
