"""Users with parallel tabs that read, write, rotate, renew, use sockets, hang up and log out.

It runs as a separate process, next to others, until SIGTERM, after which it comes to an end:

    python -m chaos.workload BROWSERS PORTS SHARED > history

BROWSERS is how many there are; PORTS are those of the workers, with commas between; SHARED are
sessions that all the processes use, each as name=cookie.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import sys
from contextlib import suppress
from typing import TextIO

import uvloop

from .browser import GRACE, Browser, Log
from .calls import Kind
from .client import NO_ANSWER, Tab

BROWSERS, TABS = 6, 3
"""In each process: as many as two cores can serve while some wait for a disk, a slow worker or a fault."""

STEPS = 25
"""The most that each tab of a session does."""

LIFETIME = 3
PAUSE_AFTER_ERROR = 0.05
"""Seconds after which a refused user asks again."""


class Person:
    """Begins one session after the other, until `stopping` is set."""

    def __init__(self, log: Log, ports: list[int], stopping: asyncio.Event) -> None:
        self._log = log
        self._ports = ports
        self._stopping = stopping

    async def live(self) -> None:
        old_cookie = ""
        async with asyncio.TaskGroup() as later:
            while not self._stopping.is_set():
                browser = Browser(self._log, self._ports)
                tab = browser.tab()
                lifetime = LIFETIME if random.random() < 0.1 else None
                started = await browser.start(tab, old_cookie, lifetime)
                tab.close()
                if not started:
                    await asyncio.sleep(PAUSE_AFTER_ERROR)
                    continue
                await self.use(browser, steps=random.randint(2, STEPS))
                if not lifetime:  # which looking would make longer
                    await _look_back(browser)
                if lifetime or len(browser.known) > 1:
                    later.create_task(self._look_back_after((lifetime or GRACE) + 0.1, browser))
                old_cookie = browser.cookie if browser.ended else ""

    async def _look_back_after(self, seconds: float, browser: Browser) -> None:
        """Check again after its lifetime, or the grace of its old ids; or earlier, at the end of the run."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        await _look_back(browser)

    async def use(self, browser: Browser, steps: int, *, shared: str = "") -> None:
        """By several tabs. A session that is `shared` with others, among whom this is our name, is never ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(TABS):
                group.create_task(self._use_tab(browser, number, steps, shared))

    async def _use_tab(self, browser: Browser, number: int, steps: int, shared: str) -> None:
        """Let one tab do its steps; the first then logs out, as a rule, whatever the others do."""
        tab = browser.tab()
        try:
            for _ in range(steps):
                if self._stopping.is_set():
                    break
                if not await self._step(browser, tab, f"{shared}{number}", shared=bool(shared)):
                    return
            if number == 0 and not shared and random.random() < 0.2:
                await browser.revoke(tab)
            elif number == 0 and not shared and random.random() < 0.75:
                await browser.call(tab, Kind.END, cookie=_any_cookie(browser), hang_up_after=_patience(0.1))
        finally:
            tab.close()

    async def _step(self, browser: Browser, tab: Tab, name: str, *, shared: bool) -> bool:
        """Do one thing. False where there is nothing more to do."""
        if random.random() < 0.05:
            await browser.talk(tab, name)
            return True
        kinds = [Kind.READ, Kind.PUT, Kind.SAVE, Kind.LINK, Kind.RENEW, Kind.ROTATE]
        [kind] = random.choices(kinds, [30, 25, 10, 25, *((0, 0) if shared else (3, 1))])
        if kind is Kind.ROTATE:
            return await browser.call(tab, kind) == 200  # otherwise it isn't known whether the cookie opens anything
        cookie = _any_cookie(browser)
        key = random.choice([name, "common"]) if kind in (Kind.PUT, Kind.SAVE) else ""
        status = await browser.call(tab, kind, cookie=cookie, key=key, hang_up_after=_patience(0.08))
        if status in (NO_ANSWER, 503):
            await asyncio.sleep(PAUSE_AFTER_ERROR)
        return status not in (401, 410) or cookie != browser.cookie


async def _look_back(browser: Browser) -> None:
    """Try all the cookies that it was ever given."""
    tab = browser.tab()
    for cookie in list(browser.known):
        await browser.call(tab, Kind.READ, cookie=cookie)
    tab.close()


def _any_cookie(browser: Browser) -> str:
    """The present one as a rule; sometimes any that it had, as a tab sends that hasn't heard of the new one."""
    return random.choice([*browser.known, browser.cookie]) if random.random() < 0.1 else browser.cookie


def _patience(share: float) -> float | None:
    """Seconds after which this share of users hangs up; None for the others."""
    return random.uniform(0, 0.01) if random.random() < share else None


async def main(browsers: int, ports: list[int], shared: dict[str, str], file: TextIO) -> None:
    log, stopping = Log(file), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    person = Person(log, ports, stopping)
    mark = secrets.token_hex(4)
    async with asyncio.TaskGroup() as group:
        for _ in range(browsers):
            group.create_task(person.live())
        for name, cookie in shared.items():
            browser = Browser(log, ports, name, cookie)
            group.create_task(person.use(browser, sys.maxsize, shared=f"{mark}."))


if __name__ == "__main__":
    _, browsers, numbers, *pairs = sys.argv
    ports, shared = [int(number) for number in numbers.split(",")], dict(pair.split("=", 1) for pair in pairs)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(browsers), ports, shared, sys.stdout))
