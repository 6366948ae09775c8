"""People who use sessions hard: parallel tabs that read, write, rotate, talk, hang up and log out.

It runs as a process of its own, beside others, until SIGTERM, after which it comes to an end:

    python -m tests.adversity.workload PORTS SHARED > history

PORTS are those of the workers, with commas between; SHARED are sessions that all the processes use,
each as name=cookie.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import signal
import sys
import time
from collections.abc import Awaitable
from typing import TextIO

import uvloop

from .calls import Call, Kind, Outcome, Seen
from .client import NO_ANSWER, Answer, Tab, ask

BROWSERS, TABS = 2, 3
"""In each process. More would only stand in line: two cores are busy with them."""

STEPS = 25
"""The most that each tab of a session does."""

LIFETIME = 3
PAUSE_AFTER_ERROR = 0.05
"""Seconds after which somebody who was refused asks again."""

_OUTCOMES = {200: Outcome.DONE, 401: Outcome.ABSENT, 410: Outcome.REFUSED}


class Log:
    """Where the calls go, each with the status of its answer."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, call: Call, status: int) -> None:
        self._file.write(f"{status:3} {call.to_json()}\n")


class Browser:
    """One session, with the cookie that all its tabs share."""

    def __init__(self, log: Log, ports: list[int], name: str = "", cookie: str = "") -> None:
        self.name = name or secrets.token_hex(8)
        self.cookie = cookie
        self.known = [cookie] if cookie else []  # all that it was ever given
        self.ended = False
        self._log = log
        self._ports = ports

    def tab(self) -> Tab:
        return Tab(self._ports)

    async def start(self, tab: Tab, old_cookie: str = "", lifetime: int | None = None) -> bool:
        query = {"owner": self.name} | ({} if lifetime is None else {"lifetime": str(lifetime)})
        return await self._call(Kind.START, old_cookie, tab.get("/start", old_cookie, query), lifetime=lifetime) == 200

    async def call(
        self, tab: Tab, kind: Kind, *, cookie: str | None = None, hang_up_after: float | None = None, key: str = ""
    ) -> int:
        """Ask for `kind`, with the present cookie or another. Returns the status."""
        sent = self.cookie if cookie is None else cookie
        nonce = secrets.token_hex(8) if kind in (Kind.PUT, Kind.SAVE, Kind.LINK) else ""
        query = ({"key": key} if key else {}) | ({"nonce": nonce} if nonce else {})
        answer = tab.get(f"/{kind}", sent, query, hang_up_after=hang_up_after)
        return await self._call(kind, sent, answer, key=key, nonce=nonce)

    async def talk(self, tab: Tab, key: str) -> None:
        """A few messages over a WebSocket, which stays with the session that it was opened for."""
        sent = self.cookie
        socket = await tab.talk(sent)
        if socket is None:
            return
        try:
            for kind in random.choices([Kind.READ, Kind.SAVE, Kind.LINK], k=random.randint(1, 8)):
                nonce = secrets.token_hex(8) if kind is not Kind.READ else ""
                text = " ".join([kind, *([key] if kind is Kind.SAVE else []), *([nonce] if nonce else [])])
                named = key if kind is Kind.SAVE else ""
                if await self._call(kind, sent, ask(socket, text), key=named, nonce=nonce) != 200:
                    break
        finally:
            socket.transport.abort() if random.random() < 0.2 else await socket.close()

    async def _call(
        self,
        kind: Kind,
        sent: str,
        asking: Awaitable[Answer],
        *,
        key: str = "",
        nonce: str = "",
        lifetime: float | None = None,
    ) -> int:
        began = time.monotonic()
        answer = await asking
        ended = time.monotonic()
        if answer.cookie:
            self.cookie = answer.cookie
            self.known.append(answer.cookie)
        cleared = answer.cookie == ""
        self.ended = self.ended or cleared
        state = answer.body.get("state")
        call = Call(
            self.name,
            kind,
            _OUTCOMES.get(answer.status, Outcome.UNKNOWN),
            began,
            ended,
            _label(sent),
            _label(answer.cookie or ""),
            cleared,
            key and f"key {key}",
            nonce,
            lifetime,
            answer.body.get("owner", ""),
            state and Seen.of(state),
        )
        self._log.write(call, answer.status)
        return answer.status


def _label(cookie: str) -> str:
    """A name of an id that opens nothing."""
    return hashlib.blake2b(cookie.encode(), digest_size=8).hexdigest() if cookie else ""


class Person:
    """Begins one session after the other, until `stopping` is set."""

    def __init__(self, log: Log, ports: list[int], stopping: asyncio.Event) -> None:
        self._log = log
        self._ports = ports
        self._stopping = stopping

    async def live(self) -> None:
        old_cookie = ""
        while not self._stopping.is_set():
            browser = Browser(self._log, self._ports)
            first = browser.tab()
            lifetime = LIFETIME if random.random() < 0.1 else None
            if await browser.start(first, old_cookie, lifetime):
                await self.use(browser, steps=random.randint(2, STEPS))
                if lifetime and not browser.ended:
                    await asyncio.sleep(lifetime + 0.1)
                for cookie in browser.known:
                    await browser.call(first, Kind.READ, cookie=cookie)
                old_cookie = browser.cookie if browser.ended else ""
            else:
                await asyncio.sleep(PAUSE_AFTER_ERROR)
            first.close()

    async def use(self, browser: Browser, steps: int, *, shared: str = "") -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(TABS):
                group.create_task(self._use_tab(browser, f"{shared}{number}", steps, leaves=not shared and number == 0))

    async def _use_tab(self, browser: Browser, name: str, steps: int, *, leaves: bool) -> None:
        """Let one tab do its steps; the one that `leaves` then logs out, as a rule, whatever the others do."""
        tab = browser.tab()
        try:
            for _ in range(steps):
                if self._stopping.is_set():
                    break
                if not await self._step(browser, tab, name):
                    return
            if leaves and random.random() < 0.8:
                impatient = random.random() < 0.1
                await browser.call(tab, Kind.END, hang_up_after=random.uniform(0, 0.01) if impatient else None)
        finally:
            tab.close()

    async def _step(self, browser: Browser, tab: Tab, name: str) -> bool:
        """Do one thing. False where there is nothing more to do."""
        kinds = [Kind.READ, Kind.PUT, Kind.SAVE, Kind.LINK, Kind.ROTATE]
        [kind] = random.choices(kinds, [30, 25, 10, 25, 0 if len(name) > 1 else 1])
        key = random.choice([name, "common"]) if kind in (Kind.PUT, Kind.SAVE) else ""
        if random.random() < 0.05:
            await browser.talk(tab, name)
            return True
        hang_up_after = random.uniform(0, 0.01) if random.random() < 0.08 and kind is not Kind.ROTATE else None
        status = await browser.call(tab, kind, key=key, hang_up_after=hang_up_after)
        if status in (NO_ANSWER, 503):
            if kind is Kind.ROTATE:  # whether the cookie still opens the session isn't known
                return False
            await asyncio.sleep(PAUSE_AFTER_ERROR)
        return status not in (401, 410)


async def main(ports: list[int], shared: dict[str, str], file: TextIO) -> None:
    log, stopping = Log(file), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    person = Person(log, ports, stopping)
    mark = secrets.token_hex(4)
    async with asyncio.TaskGroup() as group:
        for _ in range(BROWSERS):
            group.create_task(person.live())
        for name, cookie in shared.items():
            browser = Browser(log, ports, name, cookie)
            group.create_task(person.use(browser, sys.maxsize, shared=f"{mark}."))


if __name__ == "__main__":
    _, numbers, *pairs = sys.argv
    arguments = [int(number) for number in numbers.split(",")], dict(pair.split("=", 1) for pair in pairs)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*arguments, sys.stdout))
