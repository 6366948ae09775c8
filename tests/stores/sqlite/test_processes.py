"""One SQLiteStore in several event loops, threads and forked processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from starlette_sessions_ext import SQLiteStore
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.sqlite.connections import (
    _after_fork_in_child,
    _after_fork_in_parent,
    _before_fork,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

THREADS = 4
CALLS = 150


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """Under coverage, loops in several threads wait for its lock where they enter a file of the package."""


PREAMBLE = """
import asyncio, ctypes, os, sqlite3, sys, threading, time
import anyio
from starlette_sessions_ext import SQLiteStore, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.stores.sqlite import checkpointer

path = sys.argv[1]
store = SQLiteStore(path)
acknowledged = []

async def create():
    key = key_of(new_id())
    assert await store.create(key, b"data", 2_000_000_000)
    return key

def child(work):
    "Run `work` in a forked process, which sends the keys that it returns."
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            keys = work()
            os.write(write, "".join(keys).encode())
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    os.close(write)
    def join():
        with open(read) as pipe:
            keys = pipe.read()
        assert os.waitpid(process, 0)[1] == 0
        acknowledged.extend(keys[i : i + 32] for i in range(0, len(keys), 32))
    return join

def check():
    db = sqlite3.connect(path)
    found = {key for (key,) in db.execute("SELECT key FROM starlette_sessions")}
    db.close()
    assert set(acknowledged) == found, (len(acknowledged), len(found))
"""


def run(script: str, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", PREAMBLE + script, str(path)],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fork_of_an_open_store(tmp_path: Path) -> None:
    """The parent closes first: the child's writes stay, and it opens a connection for itself."""
    run(
        """
acknowledged.append(anyio.run(create))
read, write = os.pipe()
def work():
    keys = [anyio.run(create)]
    os.close(write)
    os.read(read, 1)  # until the parent has closed
    keys.append(anyio.run(create))
    return keys
join = child(work)
acknowledged.append(anyio.run(create))
anyio.run(store.aclose)
os.close(write)
join()
check()
acknowledged.append(anyio.run(create))
check()
""",
        tmp_path / "sessions.db",
    )


def test_forks_while_other_threads_write(tmp_path: Path) -> None:
    run(
        """
stop = threading.Event()
begun = threading.Barrier(3)
async def write():
    acknowledged.append(await create())
    begun.wait()  # no thread is in an import when the process forks: the child would wait for it for ever
    while not stop.is_set():
        acknowledged.append(await create())
threads = [threading.Thread(target=anyio.run, args=(write,)) for _ in range(2)]
for thread in threads:
    thread.start()
begun.wait()
for _ in range(15):
    child(lambda: [anyio.run(create) for _ in range(3)])()
stop.set()
for thread in threads:
    thread.join()
anyio.run(store.aclose)
check()
""",
        tmp_path / "sessions.db",
    )


def test_a_fork_by_a_coroutine_while_calls_wait(tmp_path: Path) -> None:
    """What waited is the parent's alone: the child neither runs it again, nor waits for it."""
    run(
        """
async def several():
    return [await create() for _ in range(3)]

async def main():
    tasks = [asyncio.create_task(create()) for _ in range(20)]
    await asyncio.sleep(0)
    join = child(lambda: anyio.run(several))
    acknowledged.extend(await asyncio.gather(*tasks))
    await asyncio.to_thread(join)
    await store.aclose()

asyncio.run(main())
check()
""",
        tmp_path / "sessions.db",
    )


def test_a_child_erases_what_it_deletes(tmp_path: Path) -> None:
    run(
        """
checkpointer.CHECKPOINT_DELAY = 0.05
acknowledged.append(anyio.run(create))
async def replace_and_wait():
    key = key_of(new_id())
    assert await store.create(key, b"canary", 2_000_000_000)
    assert await store.delete(key)
    thread = store._checkpointer._thread
    if thread is not None:
        await anyio.to_thread.run_sync(thread.join)
    for name in (path, path + "-wal"):
        with open(name, "rb") as file:
            assert b"canary" not in file.read()
    return []
child(lambda: anyio.run(replace_and_wait))()
check()
""",
        tmp_path / "sessions.db",
    )


def test_a_fork_that_python_doesnt_know_of_is_refused(tmp_path: Path) -> None:
    """Connections can't be closed in time then, and SQLite's locks are not what it believes."""
    run(
        """
acknowledged.append(anyio.run(create))
while len(os.listdir("/proc/self/task")) > 1:  # a thread that ends could leave its locks to the child for good
    time.sleep(0.01)
process = ctypes.PyDLL(None).fork()
if process == 0:
    try:
        anyio.run(create)
    except StoreUnavailable as error:
        os._exit(0 if "after the fork" in str(error) else 1)
    os._exit(2)
assert os.waitpid(process, 0)[1] == 0
acknowledged.append(anyio.run(create))
check()
""",
        tmp_path / "sessions.db",
    )


async def test_both_sides_of_a_fork_open_anew(tmp_path: Path, soon: int) -> None:
    """The hooks alone, in this process. What Python calls for a real fork is in the tests above."""
    keys = [key_of(new_id()) for _ in range(3)]
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        for key, after in zip(keys, (_after_fork_in_parent, _after_fork_in_child, None), strict=True):
            assert await store.create(key, b"data", soon)
            queue = store._writer._queue()
            if after is not None:
                await anyio.to_thread.run_sync(_before_fork)
                assert not store._connections.are_current()
                await anyio.to_thread.run_sync(after)
                assert (store._writer._queue() is queue) == (after is _after_fork_in_parent)
        assert {key async for key in store.all_keys()} == {*keys}


async def test_a_process_id_that_changed_is_noticed(tmp_path: Path, key: str, soon: int) -> None:
    async with SQLiteStore(tmp_path / "sessions.db") as store:
        store._connections._process += 1
        for call in (store.load(key), store.create(key, b"data", soon)):
            with pytest.raises(Exception, match="after the fork"):
                await call
        store._connections._process -= 1
        assert await store.create(key, b"data", soon)


# Loops and threads


def in_threads(*loops: Callable[[], object]) -> list[BaseException]:
    """Run each on a thread, at the same time; what they raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(loops))

    def run(loop: Callable[[], object]) -> None:
        try:
            barrier.wait()
            loop()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


async def together(calls: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)


@pytest.mark.parametrize("backends", [["asyncio"] * THREADS, ["asyncio", "trio", "asyncio", "trio"]], ids=str)
def test_several_event_loops_at_once(tmp_path: Path, soon: int, backends: list[str]) -> None:
    store = SQLiteStore(tmp_path / "sessions.db")
    keys = [key_of(new_id()) for _ in range(THREADS * CALLS)]
    found: list[bool] = []

    async def use(mine: list[str]) -> None:
        async def one(key: str) -> None:
            assert await store.create(key, key.encode(), soon)
            row = await store.load(key)
            found.append(row is not None and row.data == key.encode())

        await together([lambda key=key: one(key) for key in mine])  # type: ignore[misc]

    loops = [
        lambda number=number, backend=backend: anyio.run(use, keys[number::THREADS], backend=backend)
        for number, backend in enumerate(backends)
    ]
    assert in_threads(*loops) == []
    assert found == [True] * len(keys)
    anyio.run(store.aclose)
    assert not (tmp_path / "sessions.db-wal").exists(), "nothing is left open"


def test_a_loop_that_closes_the_store_disturbs_no_other(tmp_path: Path, soon: int) -> None:
    store = SQLiteStore(tmp_path / "sessions.db")

    async def write() -> None:
        for _ in range(CALLS):
            key = key_of(new_id())
            assert await store.create(key, b"data", soon)
            assert await store.load(key) is not None

    async def close() -> None:
        for _ in range(20):
            await store.open()
            await store.aclose()

    assert in_threads(lambda: anyio.run(write), lambda: anyio.run(close), lambda: anyio.run(write)) == []
    anyio.run(store.aclose)
    assert not (tmp_path / "sessions.db-wal").exists()


def test_the_file_is_replaced_while_several_loops_use_it(tmp_path: Path, soon: int) -> None:
    path = tmp_path / "sessions.db"
    store = SQLiteStore(path)
    done = threading.Event()
    kept: list[str] = []

    async def write() -> None:
        while not done.is_set():
            assert await store.create(key_of(new_id()), b"data", soon)
            await store.load(key_of(new_id()))

    async def remove() -> None:
        for _ in range(20):
            await store.create(key_of(new_id()), b"data", soon)
            path.unlink(missing_ok=True)
        kept.append(key_of(new_id()))
        assert await store.create(kept[0], b"data", soon)
        done.set()

    assert in_threads(lambda: anyio.run(write), lambda: anyio.run(remove), lambda: anyio.run(write)) == []

    async def load() -> Any:
        async with store, SQLiteStore(path) as other:
            return await other.load(kept[0])

    assert anyio.run(load) is not None


async def test_a_connection_that_another_loop_holds_too_long_is_a_timeout(tmp_path: Path, key: str, soon: int) -> None:
    async with SQLiteStore(tmp_path / "sessions.db", timeout=0.2) as store:
        await store.create(key, b"data", soon)
        with store._connections.reader.lock:
            with pytest.raises(Exception, match="busy for longer"):
                await store.load(key)
        assert await store.load(key) is not None
