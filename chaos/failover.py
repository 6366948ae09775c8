"""Failovers under load: of what was acknowledged, what is still there when another server has taken over.

python -m chaos.failover [seconds]
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import Server

from .clusters import CLUSTERS, DETECTED_AFTER, MAX_LAG, Cluster
from .writers import Life, Writers

WRITERS = 8
LOAD_BEFORE, LOAD_AFTER = 1.0, 1.5
"""Seconds of load before the primary is struck, and after it came back."""

AWAY_AT_MOST = 60.0
"""Seconds after which the primary comes back, be there another that takes writes or not."""


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """kill -9, and a start with what it had on disk."""
    server.stop()
    yield
    server.start()


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """SIGSTOP, and SIGCONT: it goes on as the primary until the others correct it."""
    with server.frozen():
        yield


Fault = Callable[[Server], AbstractContextManager[None]]
FAULTS: tuple[Fault, ...] = (killed, paused)


@dataclass(slots=True)
class Result:
    """The results of failovers."""

    runs: int = 1
    acknowledged: int = 0
    refused: int = 0
    outages: list[float] = field(default_factory=list)
    """In each, the seconds in which a writer couldn't write, of the one that waited longest."""
    resumed: int = 0
    """In how many all writers could go on before the struck server came back."""
    lost_early: int = 0
    """Acknowledged writes and logouts that all replicas had before the strike, and that are undone."""
    lost: list[float] = field(default_factory=list)
    """For each acknowledged write that is lost: the seconds between its acknowledgement and the strike, or the
    return, whichever is nearer."""
    resurrected: list[float] = field(default_factory=list)
    """The same for each acknowledged logout of a session that is back."""
    foreign: int = 0
    half_written: int = 0

    def add(self, other: Result) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


async def fail_over(cluster: Cluster, fault: Fault) -> Result:
    """Strike a primary under load, let it come back when others have taken over, and read every session."""
    async with cluster.store() as store:
        writers = Writers(store, WRITERS)
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(writers.write(number))
            await asyncio.sleep(LOAD_BEFORE)
            primaries = await asyncio.to_thread(cluster.primaries)
            early = time.monotonic()
            await asyncio.to_thread(cluster.wait_until_replicated)
            struck = time.monotonic()
            with fault(primaries[0]):
                resumed = await _all_write(writers, cluster, primaries)
            returned = time.monotonic()
            await asyncio.sleep(LOAD_AFTER)
            writers.stopping = True
        await asyncio.to_thread(cluster.wait_until_all_follow)

        def distance(moment: float) -> float:
            return min(abs(moment - struck), abs(moment - returned))

        result = Result(resumed=resumed, refused=writers.errors, outages=[writers.longest_gap])
        for life in writers.lives:
            stored = await store.load(life.key)
            there = writers.numbers(life, stored.data) if stored else None
            _judge(life, there, early, distance, result)
        result.foreign, result.half_written = writers.foreign, writers.half_written
    return result


async def _all_write(writers: Writers, cluster: Cluster, struck: list[Server]) -> bool:
    """Wait until another server has taken over, and every writer has written since."""
    deadline = time.monotonic() + AWAY_AT_MOST
    taken_over: float | None = None
    while time.monotonic() < deadline:
        if taken_over is None and await asyncio.to_thread(cluster.has_promoted, struck):
            taken_over = time.monotonic()
        if taken_over is not None and min(writers.last_write) > taken_over:
            return True
        await asyncio.sleep(0.02)
    return False


def _judge(
    life: Life, there: list[int] | None, early: float, distance: Callable[[float], float], result: Result
) -> None:
    """Compare the acknowledged writes of a session with what is stored; before `early` all was replicated."""
    result.acknowledged += len(life.acknowledged) + (life.logged_out is not None)
    if life.logged_out is not None:
        if there is not None:
            result.resurrected.append(distance(life.logged_out))
            result.lost_early += life.logged_out < early
    elif there is not None or not life.leaving:
        missing = life.acknowledged.keys() - {*(there or ())}
        result.lost += [distance(life.acknowledged[number]) for number in missing]
        result.lost_early += sum(life.acknowledged[number] < early for number in missing)


BOUNDS = {
    "sentinel, min-replicas": MAX_LAG + 1.0,  # without a replica that heard of it a master refuses
    "cluster": DETECTED_AFTER,  # a master that hears of no majority for so long refuses
    "replica set": 0.0,
}
"""Seconds before the failover in which an acknowledged write may be lost."""


def main(seconds: float) -> int:
    """Each cluster for its share of the time, at least once with each fault, and a table of what was found.

    Returns 1 if something was found that may not be: more than what `BOUNDS` allow, or what is never to be.
    """
    faults = 0
    print(_line("cluster", "primary", "runs", "acknowledged", "refused", "outage, longest", "went on without", *_HARM))
    for name, running in CLUSTERS.items():
        results = {fault.__name__: Result(runs=0) for fault in FAULTS}
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as cluster:
            while True:
                for fault in FAULTS:
                    results[fault.__name__].add(asyncio.run(fail_over(cluster, fault)))
                if time.monotonic() - began > seconds / len(CLUSTERS):
                    break
        for fault_name, result in results.items():
            print(_row(name, fault_name, result), flush=True)
            furthest = max([0.0, *result.lost, *result.resurrected])
            faults += result.foreign + result.half_written + result.lost_early + (furthest > BOUNDS.get(name, math.inf))
    return 1 if faults else 0


_HARM = ("lost (furthest)", "resurrected", "foreign", "half-written")


def _row(name: str, fault: str, result: Result) -> str:
    outages = sorted(result.outages)
    outage = f"{outages[len(outages) // 2]:.1f} s, {outages[-1]:.1f} s"
    lost = f"{len(result.lost)}" + (f" ({max(result.lost):.3f} s)" if result.lost else "")
    return _line(
        name,
        fault,
        *map(str, (result.runs, result.acknowledged, result.refused)),
        outage,
        f"{result.resumed} of {result.runs}",
        lost,
        str(len(result.resurrected)),
        str(result.foreign),
        str(result.half_written),
    )


def _line(*cells: str) -> str:
    widths = (23, 8, 5, 13, 8, 16, 16, 24, 12, 8, 12)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 300))
