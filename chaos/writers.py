"""Writers through the public API of a store, and the log of its answers.

Every write has a unique number, and a row holds the numbers of all the writes that made it what it is. So what
was lost is seen in the end, whatever was written on top of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette_sessions_ext import SessionStore, StoreUnavailable
from starlette_sessions_ext._core.ids import key_of, new_id

MOST_WRITES = 20
"""To one session; every other session is then logged out."""

_PAUSE_AFTER_ERROR = 0.02


@dataclass(slots=True)
class Life:
    """The store's answers about one session."""

    key: str
    sent: list[int] = field(default_factory=list)
    """The numbers of its writes, done or not."""
    acknowledged: dict[int, float] = field(default_factory=dict)
    """The time at which the store acknowledged a write, by the write's number."""
    leaving: bool = False
    logged_out: float | None = None
    """The time of that answer."""


class Writers:
    """Each writes to one session after the other, which no other writer uses, by load and replace."""

    def __init__(self, store: SessionStore, count: int) -> None:
        self.lives: list[Life] = []
        self.last_write = [time.monotonic()] * count
        self.longest_gap = 0.0
        """Seconds between two acknowledged writes of one writer."""
        self.errors = 0
        self.stopping = False
        self.foreign = 0
        self.half_written = 0
        self._store = store
        self._numbers = itertools.count(1)

    async def write(self, writer: int) -> None:
        """Begin sessions, and use each until its end."""
        while not self.stopping:
            life = Life(key_of(new_id()), leaving=False)
            self.lives.append(life)
            number = self._send(life)
            try:
                assert await self._store.create(life.key, row(life.key, [number]), _in_an_hour())
            except StoreUnavailable:  # the store didn't acknowledge this session
                await self._was_refused()
                continue
            self._acknowledge(life, number, writer)
            await self._use(life, writer, log_out=len(self.lives) % 2 == 0)

    async def _use(self, life: Life, writer: int, *, log_out: bool) -> None:
        while not self.stopping and life.logged_out is None:
            try:
                if len(life.sent) < MOST_WRITES:
                    if not await self._write_once(life, writer):
                        return
                elif log_out:
                    life.leaving = True
                    await self._store.delete(life.key)
                    life.logged_out = time.monotonic()
                else:
                    return
            except StoreUnavailable:
                await self._was_refused()

    async def _write_once(self, life: Life, writer: int) -> bool:
        """Add a number to the row. False where there is none: it was lost, as will be counted in the end."""
        stored = await self._store.load(life.key)
        if stored is None:
            return False
        number = self._send(life)
        data = row(life.key, [*self.numbers(life, stored.data), number])
        if await self._store.replace(life.key, data, _in_an_hour(), stored.version):
            self._acknowledge(life, number, writer)
        return True

    def numbers(self, life: Life, data: bytes) -> list[int]:
        """The numbers in a row, of which is counted whether it is this session's, and whole."""
        key, *written = data[:-_DIGEST].decode(errors="replace").split()
        if key != life.key:
            self.foreign += 1
            return []
        if data[-_DIGEST:] != _digest(data[:-_DIGEST]) or not {*map(int, written)} <= {*life.sent}:
            self.half_written += 1
            return []
        return list(map(int, written))

    def _send(self, life: Life) -> int:
        life.sent.append(next(self._numbers))
        return life.sent[-1]

    def _acknowledge(self, life: Life, number: int, writer: int) -> None:
        now = life.acknowledged[number] = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self.last_write[writer])
        self.last_write[writer] = now

    async def _was_refused(self) -> None:
        self.errors += 1
        await asyncio.sleep(_PAUSE_AFTER_ERROR)


def row(key: str, numbers: Iterable[int]) -> bytes:
    """The stored data: the session's name, the writes in it, and a digest that shows that it is whole."""
    text = f"{key} {' '.join(map(str, numbers))}".encode()
    return text + _digest(text)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


_DIGEST = hashlib.sha256().digest_size


def _in_an_hour() -> int:
    return int(time.time()) + 3600
