"""One session file under PHP's lock. All of this blocks, so it runs on threads.

PHP holds an exclusive `flock` from session_start to the end of a page, and unlinks a file after it has unlocked it. So
the lock may be that of a file that is no longer at its path.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import CorruptRecord, SessionUnavailable, StoreError, StoreFull, StoreUnavailable

_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Without O_CREAT: with it, `fs.protected_regular` refuses files of another user in a sticky folder, even to root."""

_NOT_A_FILE = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})
_NO_FILE = frozenset({errno.ENOENT, errno.ENAMETOOLONG})
"""The name of a file has 255 bytes at most, and an id up to 256: PHP stores no such session either."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Locked(Exception):
    """Another process holds the lock."""


class SessionFile:
    """A session file that is locked.

    `modified` is when PHP counts its last use (unix seconds).
    """

    def __init__(self, fd: int, path: str, status: os.stat_result) -> None:
        self._fd = fd
        self._path = path
        self.size = status.st_size
        self.modified = int(status.st_mtime)

    def read(self) -> bytes:
        """Return all of its bytes."""
        return os.pread(self._fd, self.size, 0)

    def write(self, data: bytes, before: bytes) -> None:
        """Overwrite `before`, the bytes of the file.

        It puts them back if there is no room. Data that aren't shorter are written in one step. If they have up to
        4096 bytes, a process that is killed leaves old or new bytes. They are never a mixture, since the kernel
        copies them page by page.
        """
        try:
            if len(data) < len(before):
                os.ftruncate(self._fd, 0)
            if os.pwrite(self._fd, data, 0) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.pwrite(self._fd, before, 0)
            os.ftruncate(self._fd, len(before))
            raise

    def set_modified(self, seconds: int) -> None:
        """Set when PHP counts its last use (unix seconds)."""
        os.utime(self._fd, (seconds, seconds))

    def remove(self) -> None:
        """Remove the file.

        PHP's pages that wait for its lock find an empty session, not that of a user.
        """
        os.ftruncate(self._fd, 0)
        os.unlink(self._path)


@contextmanager
def locked_file(path: str, *, waits: bool) -> Iterator[SessionFile | None]:
    """Open a session file and lock it; None if there is none.

    Raises `Locked` if it is locked and `waits` is false.
    """
    while True:
        try:
            fd = os.open(path, _FLAGS)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            yield None
            return
        try:
            _lock(fd, waits)
            status = os.fstat(fd)
            if _is_at(path, status):
                _check(status)
                yield SessionFile(fd, path, status)
                return
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # a forked child may have the descriptor as well
            os.close(fd)


@contextmanager
def new_file(path: str, mode: int) -> Iterator[SessionFile]:
    """Make a session file, which is removed if what follows fails.

    Raises FileExistsError if there is one.
    """
    fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, mode)
    try:
        _lock(fd, waits=True)
        try:
            yield SessionFile(fd, path, os.fstat(fd))
        except BaseException:
            os.unlink(path)
            raise
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


@contextmanager
def translated(folder: object) -> Iterator[None]:
    """Raise errors of the operating system as those of a store."""
    try:
        yield
    except OSError as error:
        raise _store_error(error, folder) from error


def _store_error(error: OSError, folder: object) -> StoreError | CorruptRecord:
    if error.errno in _NO_ROOM:
        return StoreFull(f"no room for a session file in {folder}: {error.strerror}. The session is as it was.")
    if error.errno in _NOT_A_FILE:
        return CorruptRecord(f"what has the name of a session file in {folder} isn't a file: remove it")
    if error.errno == errno.EACCES:
        return SessionUnavailable(f"a session file in {folder} isn't accessible: run this process as PHP's user")
    return StoreUnavailable(f"a session file in {folder} can't be used: {error.strerror}")


def _lock(fd: int, waits: bool) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Locked from None


def _is_at(path: str, status: os.stat_result) -> bool:
    """Return whether the file that was opened is still at its path."""
    try:
        now = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino)


def _check(status: os.stat_result) -> None:
    """Refuse a file that PHP wouldn't use.

    It also refuses one that this process couldn't write for PHP. Raises an OSError.
    """
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    if os.geteuid() not in (0, status.st_uid):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
