"""Wait for PHP's locks on threads, one at most for each session.

A page of PHP holds the lock as long as it runs. A thread that waits for it can't be cancelled: if its request has
given up by the time that it gets the lock, it unlocks and does nothing. Until then the next requests of that session
wait for this thread, so that a page that hangs costs one thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

Claim = Callable[[], bool]
"""Called with the lock held: whether the work is still wanted. It then takes place."""


class LockQueue:
    """Threads that wait for locks, by session and event loop."""

    def __init__(self) -> None:
        self._queues: dict[tuple[asyncio.AbstractEventLoop, str], _Queue] = {}

    async def run(self, key: str, work: Callable[[Claim], T]) -> T:
        """Run `work` on a thread, and return what it returns.

        `work` waits for the lock, then asks its `Claim`.
        """
        place = (asyncio.get_running_loop(), key)
        self._drop_closed()
        queue = self._queues.setdefault(place, _Queue())
        queue.length += 1
        try:
            async with queue.turn:
                if queue.left_behind is not None:
                    await asyncio.wait([queue.left_behind])
                    queue.left_behind = None
                waiter = _Waiter(work)
                try:
                    await asyncio.wait([waiter.done])
                except asyncio.CancelledError:
                    queue.left_behind = waiter.leave()
                    queue.left_behind.add_done_callback(lambda _: self._drop(place))
                    raise
                return waiter.done.result()
        finally:
            queue.length -= 1
            self._drop(place)

    def _drop_closed(self) -> None:
        """Forget the queues of loops that were closed while a thread waited."""
        for place in [place for place in self._queues if place[0].is_closed()]:
            del self._queues[place]

    def _drop(self, place: tuple[asyncio.AbstractEventLoop, str]) -> None:
        """Forget a queue that nothing waits in."""
        queue = self._queues.get(place)
        if queue is not None and not queue.length and (queue.left_behind is None or queue.left_behind.done()):
            del self._queues[place]


class _Queue:
    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0
        self.left_behind: asyncio.Future[Any] | None = None
        """Ends with the thread of a request that has given up."""


class _Waiter(Generic[T]):
    """A thread that waits for a lock.

    It is a daemon, so that the process can end while a page of PHP hangs.
    """

    def __init__(self, work: Callable[[Claim], T]) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._claims = [None]
        """Taken by the thread, or by the request that gives up: popping is atomic."""
        self._is_wanted = True
        self.done: asyncio.Future[T] = self._loop.create_future()
        threading.Thread(target=self._run, name="lock of a PHP session", daemon=True).start()

    def leave(self) -> asyncio.Future[T]:
        """Let the thread do nothing with the lock, unless it has it.

        Returns a future that ends with the thread.
        """
        self._is_wanted = False
        self._claim()
        return self.done

    def _claim(self) -> bool:
        try:
            self._claims.pop()
        except IndexError:
            return False
        return True

    def _run(self) -> None:
        result: T | None = None
        failure: Exception | None = None
        try:
            result = self._work(self._claim)
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._finish, result, failure)

    def _finish(self, result: T | None, failure: Exception | None) -> None:
        if failure is not None and self._is_wanted:
            self.done.set_exception(failure)
        else:
            self.done.set_result(cast(T, result))
