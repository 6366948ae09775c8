"""`PHPFileStore`: the contract, and what is particular to session files."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from starlette_sessions_ext import ConfigurationError, CorruptRecord, SessionUnavailable, StoreFull, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id
from starlette_sessions_ext.php.files import PHPFileStore, session_file
from starlette_sessions_ext.php.files.folder_check import network_file_system
from starlette_sessions_ext.php.files.save_path import SavePath
from starlette_sessions_ext.php.files.session_file import locked_file
from starlette_sessions_ext.testing import FakeClock
from starlette_sessions_ext.testing.contract.races import RacesContract

from ..support.asyncio_only import anyio_backend
from .contract import PHPIds

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio


class TestPHPFileStore(PHPIds, RacesContract):
    @pytest.fixture(params=["/{}", "1;0600;/{}"], ids=["flat", "nested"])
    async def store(self, clock: FakeClock, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
        for character in "abcdefghijklmnopqrstuvwxyz234567":
            (tmp_path / character).mkdir()
        (tmp_path / "readme").write_text("no session")
        async with PHPFileStore(request.param.format(str(tmp_path)[1:]), clock=clock) as store:
            yield store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def store(folder: Path, clock: FakeClock) -> PHPFileStore:
    return PHPFileStore(str(folder), clock=clock, timeout=5)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold PHP's lock of a file."""
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
        fcntl.flock(file, fcntl.LOCK_UN)


def file_of(folder: Path, key: str) -> Path:
    return folder / f"sess_{key}"


async def test_a_row_is_the_file_that_php_would_make(
    store: PHPFileStore, folder: Path, key: str, soon: int, clock: FakeClock
) -> None:
    assert await store.create(key, b"k|i:1;", soon)
    [path] = folder.iterdir()
    assert path == file_of(folder, key)
    assert path.read_bytes() == b"k|i:1;"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_mtime == int(clock())


@pytest.mark.parametrize(
    ("save_path", "expected"),
    [
        ("/var/lib/php/sessions", SavePath(Path("/var/lib/php/sessions"), 0, 0o600)),
        ("2;/d", SavePath(Path("/d"), 2, 0o600)),
        ("0;0660;/d", SavePath(Path("/d"), 0, 0o660)),
        ("1;600;/d;e", SavePath(Path("/d;e"), 1, 0o600)),
    ],
)
def test_a_save_path_is_read(save_path: str, expected: SavePath) -> None:
    assert SavePath.parse(save_path) == expected
    assert expected.path_of("ab" + "c" * 20) == str(
        expected.folder / "/".join([*"ab"[: expected.depth], "sess_ab" + "c" * 20])
    )


@pytest.mark.parametrize(
    "save_path", ["", "2", "x;/d", "0;abc;/d", "0;999;/d", "sessions", "23;/d", "tcp://h:1", "/a\0b", None]
)
def test_a_save_path_that_php_would_read_differently_is_refused(save_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="save_path"):
        PHPFileStore(save_path)


@pytest.mark.parametrize(
    ("option", "value"), [("format", "igbinary"), ("lifetime", 0), ("timeout", 0), ("max_data_bytes", 0)]
)
def test_options_are_checked(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=option):
        PHPFileStore("/tmp", **{option: value})


@pytest.mark.parametrize(
    ("format", "before", "after", "stored"),
    [
        ("php", b'k|s:5:"hello";', b'k|s:2:"hi";', b'k|s:0002:"hi";'),
        ("php", b'k|s:5:"hello";', b"n|N;k|b:1;x|i:7;", b"n|N;k|b:1;x|i:7;"),
        ("php", b'k|s:9:"long text";', b"n|N;k|b:1;x|i:-7;", b"n|N;k|b:1;x|i:-07;"),
        ("php", b'k|s:9:"long text";', b"k|d:INF;x|d:0.5;", b"k|d:INF;x|d:000.5;"),
        ("php", b'k|s:9:"long text";', b"k|N;", b"k|N;"),
        ("php", b'k|s:9:"long text";', b"", b""),
        ("php", b'k|s:9:"long text";', b'k|O:1:"A":0:{}', b'k|O:00001:"A":0:{}'),
        ("php_serialize", b'a:1:{s:1:"k";s:5:"hello";}', b"a:0:{}", b"a:" + b"0" * 21 + b":{}"),
        ("php_binary", b'\1ks:5:"hello";', b"\1nN;\1ki:1;", b"\1nN;\1ki:00001;"),
    ],
)
async def test_shorter_data_are_padded_with_zeros(
    folder: Path, key: str, format: Any, before: bytes, after: bytes, stored: bytes
) -> None:
    store = PHPFileStore(str(folder), format=format)
    soon = 2_000_000_000
    assert await store.create(key, before, soon)
    assert await store.replace(key, after, soon, before)
    assert file_of(folder, key).read_bytes() == stored
    row = await store.load(key)
    assert row is not None
    assert row.data == row.version == after
    assert await store.delete(key, after)


async def test_an_id_that_no_file_can_be_named_by_has_no_session(store: PHPFileStore, soon: int) -> None:
    assert await store.load("a" * 256) is None
    assert not await store.touch("a" * 256, soon)
    with pytest.raises(StoreUnavailable, match="File name too long"):
        await store.create("a" * 256, b"", soon)


async def test_equal_data_arent_written(store: PHPFileStore, folder: Path, key: str, soon: int) -> None:
    """The file of a session that only its zeros tell from what is to be written stays as it is."""
    await store.create(key, b"k|i:1;", soon)
    file_of(folder, key).write_bytes(b"k|i:0001;")
    assert await store.replace(key, b"k|i:1;", soon + 5, b"k|i:1;")
    assert file_of(folder, key).read_bytes() == b"k|i:0001;"
    assert file_of(folder, key).stat().st_mtime == soon + 5 - 1440


async def test_a_session_of_php_is_found_by_its_id(folder: Path, clock: FakeClock) -> None:
    store = PHPFileStore(str(folder))
    session_id = "0cC,5LPJ-" + "x" * 17
    file_of(folder, session_id).write_bytes(b"")
    row = await store.load(session_id)
    assert row is not None
    assert row.data == b""
    assert row.expires_at == int(file_of(folder, session_id).stat().st_mtime) + 1440


async def test_a_lock_is_waited_for(store: PHPFileStore, folder: Path, key: str, soon: int) -> None:
    await store.create(key, b"k|i:1;", soon)
    with held(file_of(folder, key)):
        loads = [asyncio.create_task(store.load(key)) for _ in range(5)]
        other = key_of(new_id())
        assert await store.create(other, b"", soon)
        await begins_waiting()
        assert threads_that_wait() == 1
        assert not any(load.done() for load in loads)
    for row in await asyncio.gather(*loads):
        assert row is not None
        assert row.data == b"k|i:1;"
    await ends_waiting()
    assert store._queue._queues == {}


async def test_a_page_that_hangs_costs_one_thread(folder: Path, key: str, soon: int, clock: FakeClock) -> None:
    store = PHPFileStore(str(folder), clock=clock, timeout=0.2)
    await store.create(key, b"k|i:1;", soon)
    with held(file_of(folder, key)):
        for _ in range(2):
            with pytest.raises(SessionUnavailable, match=r"timeout of 0\.2 s"):
                await store.replace(key, b"k|i:2;", soon, b"k|i:1;")
        results = await asyncio.gather(*(store.load(key) for _ in range(5)), return_exceptions=True)
        assert {type(result) for result in results} == {SessionUnavailable}
        assert threads_that_wait() == 1
    await ends_waiting()
    assert store._queue._queues == {}
    row = await store.load(key)
    assert row is not None
    assert row.data == b"k|i:1;", "a request that has given up writes nothing"


async def test_a_request_waits_behind_one_that_has_given_up(
    store: PHPFileStore, folder: Path, key: str, soon: int
) -> None:
    await store.create(key, b"k|i:1;", soon)
    with held(file_of(folder, key)):
        late = asyncio.create_task(store.replace(key, b"k|i:2;", soon, b"k|i:1;"))
        await begins_waiting()
        late.cancel()
        await asyncio.wait([late])
        load = asyncio.create_task(store.load(key))
        await asyncio.sleep(0.05)
        assert threads_that_wait() == 1
    row = await load
    assert row is not None
    assert row.data == b"k|i:1;"


def threads_that_wait() -> int:
    return sum(thread.name == "lock of a PHP session" for thread in threading.enumerate())


async def begins_waiting() -> None:
    while not threads_that_wait():
        await asyncio.sleep(0.001)


async def ends_waiting() -> None:
    """Wait until no thread waits for a lock, and the loop knows."""
    while threads_that_wait():
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


async def test_an_error_of_a_thread_that_waited_is_raised(
    store: PHPFileStore, folder: Path, key: str, soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create(key, b"k|i:1;", soon)
    with held(file_of(folder, key)):
        load = asyncio.create_task(store.load(key))
        await begins_waiting()
        monkeypatch.setattr(os, "pread", fail(errno.EIO))
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        await load


def fail(number: int) -> Any:
    """Return a function that raises an OSError."""

    def raise_error(*arguments: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return raise_error


def test_a_loop_may_be_closed_while_a_thread_waits(folder: Path, key: str) -> None:
    store = PHPFileStore(str(folder), timeout=0.1)
    path = file_of(folder, key)
    path.write_bytes(b"k|i:1;")
    with held(path):
        with pytest.raises(SessionUnavailable):
            asyncio.run(store.load(key))
    while threads_that_wait():
        pass
    with held(path), pytest.raises(SessionUnavailable):
        asyncio.run(store.load(key))
    assert len(store._queue._queues) == 1, "what belongs to the first loop is forgotten"
    while threads_that_wait():
        pass
    row = asyncio.run(store.load(key))
    assert row is not None


@pytest.mark.parametrize("replacement", [b"k|i:2;", None])
async def test_a_file_that_was_replaced_or_removed_while_waiting_isnt_used(
    store: PHPFileStore, folder: Path, key: str, replacement: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(folder, key)
    path.write_bytes(b"k|i:1;")
    is_open = threading.Event()
    lock = session_file._lock

    def lock_when_open(fd: int, waits: bool) -> None:
        if waits:
            is_open.set()
        lock(fd, waits)

    monkeypatch.setattr(session_file, "_lock", lock_when_open)
    with held(path):
        load = asyncio.create_task(store.load(key))
        while not is_open.is_set():
            await asyncio.sleep(0.001)
        path.unlink()
        if replacement is not None:
            path.write_bytes(replacement)
    row = await load
    assert (row and row.data) == replacement


async def test_a_removed_session_is_empty_to_pages_that_wait(
    store: PHPFileStore, folder: Path, key: str, soon: int
) -> None:
    await store.create(key, b"k|i:1;", soon)
    with file_of(folder, key).open("rb") as opened_before:
        assert await store.delete(key)
        assert opened_before.read() == b""


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
async def test_what_isnt_a_file_is_left_alone(
    store: PHPFileStore, folder: Path, key: str, soon: int, kind: str
) -> None:
    path = file_of(folder, key)
    if kind == "link":
        (folder / "other").write_bytes(b"k|i:1;")
        path.symlink_to(folder / "other")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(CorruptRecord, match="isn't a file"):
        await store.load(key)
    assert not await store.create(key, b"k|i:2;", soon)
    assert not await store.replace(key, b"k|i:2;", soon, b"k|i:1;")
    assert not await store.touch(key, soon)
    assert not await store.delete(key)
    assert os.path.lexists(path)


async def test_a_file_larger_than_the_limit_isnt_read(folder: Path, key: str) -> None:
    store = PHPFileStore(str(folder), max_data_bytes=10)
    file_of(folder, key).write_bytes(b'k|s:10:"0123456789";')
    with pytest.raises(CorruptRecord, match="max_data_bytes"):
        await store.load(key)
    assert await store.delete(key)


async def test_a_file_of_another_user_is_refused(
    store: PHPFileStore, folder: Path, key: str, soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create(key, b"k|i:1;", soon)
    if os.getuid() == 0:
        os.chown(file_of(folder, key), 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12346)
    with pytest.raises(SessionUnavailable, match="run this process as PHP's user"):
        await store.load(key)
    with pytest.raises(ConfigurationError, match="another user"):
        await store.open()
    file_of(folder, key).unlink()
    await store.open()


async def test_a_full_disk_leaves_what_was_there(
    store: PHPFileStore, folder: Path, key: str, soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = b'k|s:5:"hello";'
    await store.create(key, old, soon)
    write = os.pwrite
    for failing in (
        lambda fd, data, offset: write(fd, data[: len(old) + 1], offset),
        fail(errno.ENOSPC),
        fail(errno.EDQUOT),
    ):
        attempts = iter([failing, write, write])
        monkeypatch.setattr(os, "pwrite", lambda *arguments, attempts=attempts: next(attempts)(*arguments))
        with pytest.raises(StoreFull):
            await store.replace(key, b'k|s:11:"hello world";', soon, old)
        monkeypatch.setattr(os, "pwrite", write)
        assert file_of(folder, key).read_bytes() == old
    monkeypatch.setattr(os, "pwrite", fail(errno.ENOSPC))
    other = key_of(new_id())
    with pytest.raises(StoreFull):
        await store.create(other, b"k|i:1;", soon)
    assert not file_of(folder, other).exists()


async def test_a_session_that_is_used_isnt_collected(
    store: PHPFileStore, folder: Path, soon: int, clock: FakeClock
) -> None:
    keys = [key_of(new_id()) for _ in range(3)]
    for key in keys:
        await store.create(key, b"k|i:1;", soon)
    (folder / "other").write_text("not a session")
    clock.advance(1440)
    with held(file_of(folder, keys[0])):
        assert await store.delete_expired() == 2
    assert {path.name for path in folder.iterdir()} == {"other", f"sess_{keys[0]}"}
    assert [found async for found in store.all_keys()] == [keys[0]]


def test_a_file_that_vanishes_is_nothing_to_collect(
    store: PHPFileStore, folder: Path, key: str, soon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(store.create(key, b"k|i:1;", soon - 1440))
    rows = store._rows
    [path] = rows.find_expired(10)
    os.unlink(path)
    assert rows.collect([path]) == 0
    assert rows.remove_expired(None), "nothing is left of it"
    entry = next(iter_after_unlink(store, folder, key))
    monkeypatch.setattr(SavePath, "files", lambda self: iter([entry]))
    assert rows.find_expired(10) == []


def iter_after_unlink(store: PHPFileStore, folder: Path, key: str) -> Iterator[os.DirEntry[str]]:
    file_of(folder, key).write_bytes(b"")
    for entry in store._save_path.files():
        file_of(folder, key).unlink()
        yield entry


async def test_a_folder_that_cant_be_read_has_nothing_to_collect(
    store: PHPFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "scandir", fail(errno.EACCES))
    assert await store.delete_expired() == 0
    with pytest.raises(SessionUnavailable):
        [key async for key in store.all_keys()]
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    await store.open()  # Debian's folder can't be read


async def test_a_folder_that_is_missing_is_named(folder: Path, key: str, soon: int) -> None:
    store = PHPFileStore(str(folder / "missing"))
    for call in (store.open(), store.load(key), store.create(key, b"", soon)):
        with pytest.raises(StoreUnavailable, match="missing"):
            await call


@pytest.mark.parametrize(
    ("mode", "save_path", "message"),
    [(0o777, "{}", "chmod"), (0o700, "1;{}", "lacks the folders"), (0o700, "{}/file", "isn't a folder")],
)
async def test_a_folder_that_cant_be_shared_is_refused(folder: Path, mode: int, save_path: str, message: str) -> None:
    (folder / "file").write_text("")
    folder.chmod(mode)
    with pytest.raises(ConfigurationError, match=message):
        await PHPFileStore(save_path.format(folder)).open()
    folder.chmod(0o1777)
    await PHPFileStore(str(folder)).open()


async def test_a_folder_that_cant_be_written_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(ConfigurationError, match="can't write"):
        await PHPFileStore(str(folder)).open()


MOUNTS = """22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:35 / /srv rw - nfs4 server:/export rw
41 40 0:36 / /srv/local rw - tmpfs tmpfs rw
42 22 0:37 / /mnt/my\\040share rw - cifs //server/share rw
43 22 0:38 / /home rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/php/sessions", None),
        ("/srv/php", "nfs4"),
        ("/srv/local/php", None),
        ("/srvother", None),
        ("/mnt/my share/php", "cifs"),
        ("/home/php", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_known(folder: str, kind: str | None) -> None:
    assert network_file_system(Path(folder), MOUNTS) == kind


async def test_a_network_file_system_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS + f"44 22 0:39 / {folder} rw - nfs server:/php rw\n")
    monkeypatch.setattr("starlette_sessions_ext.php.files.folder_check._MOUNTS", mounts)
    with pytest.raises(ConfigurationError, match="of the type nfs"):
        await PHPFileStore(str(folder)).open()
    mounts.unlink()
    await PHPFileStore(str(folder)).open()


def test_a_lock_is_given_up_though_a_child_has_the_descriptor(folder: Path, key: str) -> None:
    path = file_of(folder, key)
    path.write_bytes(b"k|i:1;")
    with locked_file(str(path), waits=False) as file:
        assert file is not None
        copy = os.dup(file._fd)
    with held(path):  # blocks if the lock isn't free
        os.close(copy)
