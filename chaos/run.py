"""One run: load from several processes on a testbed while faults strike it, and what came of it."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.servers import die_with_parent, wait_until

from .browser import Browser, Log
from .calls import Call, Kind
from .faults import Fault
from .phases import NORMAL, Event, Phase, Result, judge
from .testbed import Testbed
from .workload import BROWSERS

GENERATORS = 2
SHARED = 1
"""Sessions that all the processes which make the load use at once."""

ROOT = Path(__file__).parents[1]


Pause = Callable[[Sequence[Path]], None]
"""Waits around faults. It is given the histories, to which lines are added while it waits."""


def run(
    testbed: Testbed, folder: Path, faults: Iterable[Fault], *, lasting: float, pause: Pause, browsers: int = BROWSERS
) -> Result:
    """Make load, and let the faults strike one after the other, each for `lasting` seconds, with pauses around them."""
    shared, first = asyncio.run(_share(testbed))
    with _load(testbed, folder, shared, browsers) as histories:
        phases = [Phase("none", time.monotonic(), time.monotonic())]
        pause(histories)
        for fault in faults:
            struck = time.monotonic()
            fault(testbed, lasting)
            phases.append(Phase(fault.__name__, struck, time.monotonic()))
            pause(histories)
    last = asyncio.run(_look_again(testbed, shared))
    return judge(phases, [*first, *(event for path in histories for event in _read(path)), *last])


def for_seconds(seconds: float) -> Pause:
    return lambda histories: time.sleep(seconds)


def until_normal(count: int) -> Pause:
    """Until each process has had `count` normal answers in a row, to what it asked when this began or later."""

    def wait(histories: Sequence[Path]) -> None:
        began = time.monotonic()
        ends = {path: path.stat().st_size for path in histories}

        def is_normal() -> bool:
            return all(_ends_normally(path, end, began, count) for path, end in ends.items())

        wait_until(is_normal)

    return wait


def _ends_normally(path: Path, start: int, began: float, count: int) -> bool:
    """Return whether the last `count` events are normal, of those behind byte `start` that were asked after `began`."""
    with path.open("rb") as file:
        file.seek(start)
        _, *lines = file.read().decode().split("\n")  # the first may have been under way; so may the last
    last = [event for event in _events(lines[:-1]) if event.call.began >= began][-count:]
    return len(last) == count and all(event.status in NORMAL for event in last)


@contextmanager
def _load(testbed: Testbed, folder: Path, shared: dict[str, str], browsers: int) -> Iterator[list[Path]]:
    """Processes that make load, and come to their end with this."""
    command = [*die_with_parent(), sys.executable, "-m", "chaos.workload"]
    command += [str(browsers), ",".join(map(str, testbed.ports))]
    command += [f"{name}={cookie}" for name, cookie in shared.items()]
    paths = [folder / f"history-{number}" for number in range(GENERATORS)]
    with ExitStack() as stack:
        processes = []
        for path in paths:
            output = stack.enter_context(path.open("wb"))
            process = subprocess.Popen(command, stdout=output, cwd=ROOT)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        wait_until(lambda: all(path.stat().st_size for path in paths))
        yield paths
        for process in processes:
            process.terminate()
        for process in processes:
            if process.wait():
                raise RuntimeError(f"the load ended with status {process.returncode}")


async def _share(testbed: Testbed) -> tuple[dict[str, str], list[Event]]:
    """Make the sessions that all use."""
    file = io.StringIO()
    cookies = {}
    for _ in range(SHARED):
        browser = Browser(Log(file), testbed.ports)
        tab = browser.tab()
        await browser.start(tab)
        tab.close()
        cookies[browser.name] = browser.cookie
    return cookies, _events(file.getvalue().splitlines())


async def _look_again(testbed: Testbed, shared: dict[str, str]) -> list[Event]:
    """Return the data of the shared sessions at the end."""
    file = io.StringIO()
    for name, cookie in shared.items():
        browser = Browser(Log(file), testbed.ports, name, cookie)
        tab = browser.tab()
        await browser.call(tab, Kind.READ)
        tab.close()
    return _events(file.getvalue().splitlines())


def _read(path: Path) -> list[Event]:
    with path.open() as lines:
        return _events(lines)


def _events(lines: Iterable[str]) -> list[Event]:
    return [Event(int(line[:3]), Call.from_json(line[3:])) for line in lines]
