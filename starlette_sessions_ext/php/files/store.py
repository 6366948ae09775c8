"""Sessions in the files of PHP's own `files` handler, shared with PHP.

PHP may run at the same time. It keeps an exclusive lock for as long as a page runs, and reads under it. So do the
operations here, each for its own short time: no write of either side is lost. Data are the bytes that PHP stores, and
a version is the data. A session's age is the file's `mtime`, which PHP sets with each use.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Hashable
from datetime import timedelta
from functools import partial
from typing import TypeVar, get_args

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ..._time import parse_duration
from ...errors import ConfigurationError, CorruptRecord, SessionUnavailable
from ...stores._support.cleanup import delete_in_batches
from ...stores._support.loop_local import within
from ...stores._support.options import check_options
from ...stores.base import DEFAULT_MAX_DATA_BYTES, Finding, SessionStore, Stored, check_expires_at
from ..codec import Format
from ..session_ids import check_session_id
from ..session_rows import check_session_row
from ..settings import PHP_LIFETIME
from .diagnosis import findings
from .folder_check import check_folder
from .lock_queue import Claim, LockQueue
from .rows import Rows
from .save_path import SavePath
from .session_file import Locked, SessionFile, locked_file, translated

T = TypeVar("T")

LOCK_TIMEOUT = 5.0
"""Seconds for an operation. A page of PHP holds the lock of its session until it ends."""

_THREADS = 8
_BATCH_SIZE = 100


class PHPFileStore(SessionStore):
    """A store over the folder that `session.save_path` names.

    Keys are the ids of PHP sessions.

    `save_path` and `format` are PHP's settings `session.save_path` and `session.serialize_handler`. `lifetime` is its
    `session.gc_maxlifetime`, in seconds or as a timedelta. `timeout` is the budget of one operation in seconds,
    waiting for a page of PHP included. After it `SessionUnavailable` is raised. `clock` gives unix seconds.

    Run it as PHP's user, on the machine of PHP: PHP uses no files of another user. It needs asyncio. Unlike PHP it
    doesn't serve a session whose time is up but that nothing has collected.

    Raises `ConfigurationError` for settings that can't work; `open` does so for a folder that can't be shared.
    """

    def __init__(
        self,
        save_path: str,
        *,
        format: Format = "php",
        lifetime: int | timedelta = PHP_LIFETIME,
        timeout: float = LOCK_TIMEOUT,
        max_data_bytes: int | None = DEFAULT_MAX_DATA_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_options(timeout=timeout, clock=clock, max_data_bytes=max_data_bytes)
        if format not in get_args(Format):
            raise ConfigurationError(f"format must be one of {', '.join(get_args(Format))}")
        self.max_data_bytes = max_data_bytes
        self._save_path = SavePath.parse(save_path)
        self.lifetime = parse_duration(lifetime, "lifetime")
        self._clock = clock
        self._rows = Rows(self._save_path, format, self.lifetime, max_data_bytes, clock)
        self._timeout = timeout
        self._queue = LockQueue()
        self._limiters: RunVar[anyio.CapacityLimiter] = RunVar("threads of PHPFileStore")

    async def load(self, key: str) -> Stored | None:
        check_session_id(key)
        return await self._locked(key, self._rows.load)

    async def create(self, key: str, data: bytes, expires_at: int) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        work = partial(self._rows.create, self._save_path.path_of(key), data, expires_at)
        if await self._on_thread(work):
            return True
        return await self._changed(key, self._rows.remove_expired) and await self._on_thread(work)

    async def replace(self, key: str, data: bytes, expires_at: int, version: Hashable) -> bool:
        check_session_row(key, data, expires_at, self.max_data_bytes)
        return await self._changed(key, partial(self._rows.replace, data, expires_at, version))

    async def touch(self, key: str, expires_at: int) -> bool:
        check_session_id(key)
        check_expires_at(expires_at)
        return await self._changed(key, partial(self._rows.touch, expires_at))

    async def delete(self, key: str, version: Hashable | None = None) -> bool:
        check_session_id(key)
        return await self._changed(key, partial(self._rows.delete, version))

    async def delete_expired(self, limit: int = 1000) -> int:
        """Collect expired files, but for those that are locked.

        It returns 0 where the folder can't be read, as in Debian.
        """
        expired = await self._on_thread(partial(self._rows.find_expired, limit))
        paths = iter(expired)

        async def delete_batch(count: int) -> int:
            batch = [path for path, _ in zip(paths, range(count), strict=False)]
            return await self._on_thread(partial(self._rows.collect, batch))

        return await delete_in_batches(delete_batch, min(limit, len(expired)), batch_size=_BATCH_SIZE)

    async def all_keys(self) -> AsyncIterator[str]:
        """Yield the ids of all sessions; see `SupportsListing`.

        Raises `StoreUnavailable` if the folder can't be read.
        """
        for key in await self._on_thread(self._rows.ids):
            yield key

    async def diagnose(self) -> list[Finding]:
        """Look for files of another user, and for old ones; see `SupportsDiagnosis`."""
        long_ago = self._clock() - 2 * self.lifetime
        return await self._on_thread(partial(findings, self._save_path, long_ago))

    async def open(self) -> None:
        await self._on_thread(partial(check_folder, self._save_path))

    async def aclose(self) -> None:
        """Do nothing, since no file stays open."""

    async def _changed(self, key: str, work: Callable[[SessionFile | None], bool]) -> bool:
        try:
            return await self._locked(key, work)
        except CorruptRecord:  # what isn't a file is left as it is
            return False

    async def _locked(self, key: str, work: Callable[[SessionFile | None], T]) -> T:
        """Run work on the session's file while it is locked.

        It runs at once, or on a thread that waits for PHP.
        """
        run = partial(self._work, self._save_path.path_of(key), work)
        try:
            async with within(self._timeout):
                try:
                    return await self._on_thread(run)
                except Locked:
                    return await self._queue.run(key, run)
        except TimeoutError:
            raise SessionUnavailable(
                f"a page of PHP has kept the lock of its session for longer than the timeout of {self._timeout:g} s: "
                "call session_write_close() before what takes long"
            ) from None

    def _work(self, path: str, work: Callable[[SessionFile | None], T], claim: Claim | None = None) -> T:
        with translated(self._save_path.folder), locked_file(path, waits=claim is not None) as file:
            if claim is not None and not claim():
                raise Locked  # which the request that has given up doesn't see
            if file is None and not self._save_path.folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return work(file)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        limiter = self._limiters.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(_THREADS)
            self._limiters.set(limiter)
        with translated(self._save_path.folder):
            return await anyio.to_thread.run_sync(work, limiter=limiter)
