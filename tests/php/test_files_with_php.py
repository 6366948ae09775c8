"""Session files that a real PHP and `PHPFileStore` use at the same time: nothing is lost, on either side."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php import dumps, loads
from starlette_sessions_ext.php.files import PHPFileStore

from ..support.asyncio_only import anyio_backend
from ..support.php_process import PHPProcess
from ..support.php_server import PHPServer
from ..support.servers import die_with_parent, running
from .hits import CLIENTS, alternate, get, in_parallel_under_locks, read, soon

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture(scope="module")
def servers(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PHPServer, ...]]:
    settings = {"session.save_path": folder, "session.gc_probability": 0}
    place = tmp_path_factory.mktemp("php")
    with running(*(PHPServer(place, settings) for _ in range(CLIENTS))) as started:
        yield started


@pytest.fixture
def store(folder: Path) -> PHPFileStore:
    return PHPFileStore(str(folder))


@pytest.fixture
async def key(store: PHPFileStore) -> str:
    """The id of a session that Python has made."""
    key = key_of(new_id())
    assert await store.create(key, dumps({"by": "python"}, "php"), soon())
    return key


async def test_hits_that_alternate_are_counted(store: PHPFileStore, servers: tuple[PHPServer, ...], key: str) -> None:
    await alternate(store, servers, key, 200)


async def test_parallel_hits_are_counted(store: PHPFileStore, servers: tuple[PHPServer, ...], key: str) -> None:
    await in_parallel_under_locks(store, servers, key, 400)


@pytest.mark.slow
async def test_2000_hits_that_alternate_are_counted(
    store: PHPFileStore, servers: tuple[PHPServer, ...], key: str
) -> None:
    await alternate(store, servers, key, 2000)


@pytest.mark.slow
async def test_2000_parallel_hits_are_counted(store: PHPFileStore, servers: tuple[PHPServer, ...], key: str) -> None:
    await in_parallel_under_locks(store, servers, key, 2000)


async def test_php_opens_what_python_has_padded(store: PHPFileStore, servers: tuple[PHPServer, ...], key: str) -> None:
    data = dumps({"text": "long" * 100}, "php")
    row = await store.load(key)
    assert row is not None
    assert await store.replace(key, data, soon(), row.version)
    assert await store.replace(key, b'user|s:3:"ann";', soon(), data)
    assert (await get(servers[0], "session.php", key))["session"] == {"user": "ann"}
    assert await store.replace(key, b"", soon(), b'user|s:3:"ann";')
    assert (await get(servers[0], "session.php", key))["session"] == []


async def test_an_end_on_either_side_is_one_on_both(
    store: PHPFileStore, servers: tuple[PHPServer, ...], key: str
) -> None:
    version = dumps({"by": "python"}, "php")
    await get(servers[0], "session.php?do=destroy", key)
    assert await store.load(key) is None
    assert not await store.replace(key, b"", soon(), version)
    assert await store.create(key, version, soon())
    assert await store.delete(key)
    assert (await get(servers[0], "session.php", key))["session"] == []


async def test_an_id_that_php_has_replaced_is_gone(
    store: PHPFileStore, servers: tuple[PHPServer, ...], key: str
) -> None:
    new = (await get(servers[0], "session.php?do=regenerate", key))["id"]
    assert await store.load(key) is None
    assert await read(store, new) == {"by": "python"}


async def test_a_page_that_waits_finds_an_ended_session_empty(
    store: PHPFileStore, servers: tuple[PHPServer, ...], key: str, tmp_path: Path
) -> None:
    """Between a page that holds the lock and one that waits for it, Python ends the session or comes after both."""
    flag = tmp_path / "flag"
    results: dict[int, Any] = {}

    async def page(number: int, query: str) -> None:
        results[number] = (await get(servers[number], f"session.php?{query}", key))["session"]

    async with anyio.create_task_group() as group:
        group.start_soon(page, 0, f"do=sleep&ms=200&flag={flag}")
        while not flag.exists():
            await anyio.sleep(0.001)
        group.start_soon(store.delete, key)
        group.start_soon(page, 1, "do=read")
    assert results[0] == {"by": "python"}
    assert results[1] in ([], {"by": "python"})
    assert (await get(servers[2], "session.php", key))["session"] == []


WRITERS = """
import os, sys
from starlette_sessions_ext.php.files.session_file import locked_file
from starlette_sessions_ext.php.padding import padded

path, size = sys.argv[1], int(sys.argv[2])
texts = [b'k|s:%d:"%s";' % (length, b"x" * length) for length in (size, size // 2, 3)]

def write_until_killed():
    while True:
        for data in texts:
            with locked_file(path, waits=True) as file:
                before = file.read()
                file.write(padded(data, len(before), "php") or data, before)

for _ in sys.stdin:
    writer = os.fork()
    if not writer:
        write_until_killed()
    print(writer, flush=True)
    os.waitpid(writer, 0)
    print("killed", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 3000, 4080])
def test_a_writer_that_is_killed_leaves_a_session_that_php_opens(size: int, tmp_path: Path, php: PHPProcess) -> None:
    """With 300 kills; if the file is cut after the write, some of them leave what PHP destroys."""
    path = tmp_path / "sess"
    path.write_bytes(b'k|s:3:"xxx";')
    source = random.Random(size)
    command = [*die_with_parent(), sys.executable, "-c", WRITERS, str(path), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for _ in range(300):
            writers.stdin.write("next\n")
            writer = int(writers.stdout.readline())
            time.sleep(source.random() / 100)
            os.kill(writer, signal.SIGKILL)
            assert writers.stdout.readline() == "killed\n"
            stored = path.read_bytes()
            assert not php.read(stored, "php").destroyed
            assert len(loads(stored, "php")["k"]) in (size, size // 2, 3)
