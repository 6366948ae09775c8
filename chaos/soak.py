"""Hours of use in short: mixed load over HTTP, clients that hang up, a server that is killed and comes back.

    scripts/soak [seconds] [store ...]

In between all is quiet for a moment, and each worker is asked what it holds: file descriptors,
tasks, memory. What it holds at rest must not grow. The first third of the samples is warming up;
the median of the last third may not be above that of the second by more than the largest step
between two neighbouring samples of the second third, or what may come at once: that is how much
they vary by themselves, while what leaks at every request adds up to far more over a third of the
run. At once come a task; a MiB, for Python's allocator takes one at a time; and a connection for
each client of a worker, for a pool keeps as many as were needed at the same moment since the
server was killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from subprocess import Popen
from typing import NamedTuple

import httpx2
from anyio.from_thread import start_blocking_portal

from tests.support.mariadb_server import MariaDBServer, make_databases
from tests.support.mongo_server import MongoServer
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.postgresql_server import make_databases as make_postgresql_databases
from tests.support.redis_server import RedisServer
from tests.support.servers import Server
from tests.support.workers import port_of, running_workers

from .testbed import url_of

STORES = ("sqlite", "redis", "mysql", "postgresql", "mongo", "handlersocket")
WORKERS = 2
CLIENTS = 12
REQUESTS = 15
"""Of each client, between two samples."""

KILLED_EVERY = 5
"""Rounds after which the store's server is killed once, in the middle of the load."""

PATHS = ["/", "/", "/put?key=value", "/put?other=value", "/count", "/stream", "/rotate", "/log-out"]
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    descriptors: int
    tasks: int
    mebibytes: float


AT_ONCE = Sample(descriptors=CLIENTS // WORKERS, tasks=1, mebibytes=1)


class Verdict(NamedTuple):
    """Two medians of one measure, and its usual variation."""

    before: float
    after: float
    noise: float

    @property
    def is_flat(self) -> bool:
        return self.after <= self.before + self.noise


def verdict(values: Sequence[float], at_once: float = 1) -> Verdict:
    third = len(values) // 3
    before, after = values[third : 2 * third], values[2 * third :]
    return Verdict(median(before), median(after), max(at_once, *(abs(b - a) for a, b in pairwise(before))))


@dataclass
class Soak:
    """The requests of a soak, their answers, and the resources of each worker after each round."""

    answered: int = 0
    refused: int = 0
    hung_up: int = 0
    kills: int = 0
    samples: list[list[Sample]] = field(default_factory=list)

    def verdicts(self) -> Iterator[tuple[int, str, Verdict]]:
        """By worker and measure."""
        for worker, samples in enumerate(zip(*self.samples, strict=True)):
            for measure, values, at_once in zip(Sample._fields, zip(*samples, strict=True), AT_ONCE, strict=True):
                yield worker, measure, verdict(values, at_once)

    @property
    def asked(self) -> int:
        """Requests that have come to an end."""
        return self.answered + self.refused + self.hung_up

    async def load(self, ports: list[int], paths: Sequence[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._use(ports[number % len(ports)], paths))

    async def _use(self, port: int, paths: Sequence[str]) -> None:
        """One browser, with one session after another. Every fifth request isn't waited for to the end."""
        place = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=place, timeout=30, verify=False, trust_env=False) as client:
            for _ in range(REQUESTS):
                patience = random.uniform(0, 0.02) if random.random() < 0.2 else None
                try:
                    async with asyncio.timeout(patience):
                        answer = await client.get(random.choice(paths))
                    self.answered += answer.is_success
                    self.refused += not answer.is_success
                except TimeoutError:
                    self.hung_up += 1
                except httpx2.TransportError:
                    self.refused += 1


def soak(store: str, seconds: float, folder: Path, *, rounds: int = 9, paths: Sequence[str] = PATHS) -> Soak:
    """Run for at least the given seconds and rounds. `paths` are what is asked of `soaked.create_app`."""
    result = Soak()
    with (
        serving(store, folder) as (server, url),
        running_workers(WORKERS, url, folder / "workers.log", app="chaos.soak_app:create_app") as workers,
        start_blocking_portal() as portal,
    ):
        ports = [port_of(worker) for worker in workers]
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(result.samples) < rounds:
            middle = result.asked + CLIENTS * REQUESTS // 2
            load = portal.start_task_soon(result.load, ports, paths)
            if server is not None and len(result.samples) % KILLED_EVERY == KILLED_EVERY - 1:
                while result.asked < middle and not load.done():
                    time.sleep(0.01)
                server.stop()
                server.start()  # on this thread: a server ends with the one that started it
                result.kills += 1
            load.result()
            result.samples.append([at_rest(worker) for worker in workers])
    return result


@contextmanager
def serving(store: str, folder: Path) -> Iterator[tuple[Server | None, str]]:
    """The store's server, where it has one, and the URL."""
    if store == "sqlite":
        yield None, url_of(store, None, folder)
        return
    server: Server
    if store == "postgresql":
        server = PostgreSQLServer()
    else:
        server = {"redis": RedisServer, "mongo": MongoServer}.get(store, MariaDBServer)(folder)
    try:
        server.start()
        if isinstance(server, MariaDBServer):
            make_databases(server)
        if isinstance(server, PostgreSQLServer):
            make_postgresql_databases(server)
        yield server, url_of(store, server, folder)
    finally:
        server.stop()


def at_rest(worker: Popen[bytes]) -> Sample:
    """Return the resources of an idle worker, as soon as two looks are the same."""
    last = look(worker)
    for _ in range(1000):
        time.sleep(0.02)
        now = look(worker)
        if now[:2] == last[:2]:
            break
        last = now
    return now


def look(worker: Popen[bytes]) -> Sample:
    tasks = httpx2.get(f"http://127.0.0.1:{port_of(worker)}/tasks", trust_env=False, timeout=30).json()
    descriptors = len(os.listdir(f"/proc/{worker.pid}/fd"))
    resident = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return Sample(descriptors, tasks, resident * _PAGE / 1024**2)


def report(store: str, result: Soak) -> bool:
    """Print it as a table, and say whether all of it is flat."""
    print(
        f"{store}: {len(result.samples)} rounds, {result.answered} answered, {result.refused} refused,"
        f" {result.hung_up} hung up, server killed {result.kills} times"
    )
    print(f"  {'worker':8}{'':14}{'2nd third':>12}{'last third':>12}{'noise':>9}")
    verdicts = list(result.verdicts())
    for worker, measure, found in verdicts:
        end = "" if found.is_flat else "  GROWS"
        print(f"  {worker:<8}{measure:14}{found.before:12.1f}{found.after:12.1f}{found.noise:9.1f}{end}")
    return all(found.is_flat for _, _, found in verdicts)


def main(seconds: str = "600", *stores: str) -> int:
    flat = True
    for store in stores or ("redis",):
        with tempfile.TemporaryDirectory() as folder:
            flat &= report(store, soak(store, float(seconds), Path(folder)))
    return 0 if flat else 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main(*sys.argv[1:]))
