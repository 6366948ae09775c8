"""Time that a test moves, in the place of the event loop's and of `asyncio.sleep`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette_sessions_ext.handlersocket import Client, Pool, pool


class Alarm:
    """A timer of a `Clockwork`."""

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clockwork:
    """The running event loop, but for its time, which stands still until `advance`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._loop = asyncio.get_running_loop()
        self._alarms: list[Alarm] = []

    @classmethod
    def of(cls, client: Client) -> Clockwork:
        """Give the connection a separate clock; nothing may be under way on it."""
        clockwork = cls()
        forget_timer(client)
        loop: Any = clockwork
        client.pipeline._loop = loop
        return clockwork

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        self._alarms.append(Alarm(when, callback))
        return self._alarms[-1]

    def advance(self, seconds: float) -> None:
        """Move the time, and run the timers that are due."""
        self.now += seconds
        due = [alarm for alarm in self._alarms if alarm.when <= self.now]
        self._alarms = [alarm for alarm in self._alarms if alarm.when > self.now]
        for alarm in due:
            if not alarm.cancelled:
                alarm.callback()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def forget_timer(client: Client) -> None:
    """Drop the timer of what was answered: the next request sets one by the timeout and the clock of then."""
    pipeline = client.pipeline
    assert not pipeline.in_flight
    if pipeline._watch is not None:
        pipeline._watch.cancel()
        pipeline._watch = None


class Sleeps:
    """asyncio for a pool: its `sleep` notes the `seconds` and lasts while `awake` isn't set."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.awake = asyncio.Event()
        self.awake.set()

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self.awake.wait()

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


def timeless(a_pool: Pool, monkeypatch: Any) -> Sleeps:
    """Let the pool's time stand still, and its sleeps take none."""
    loop: Any = Clockwork()
    a_pool.loop = loop
    sleeps = Sleeps()
    monkeypatch.setattr(pool, "asyncio", sleeps)
    return sleeps
