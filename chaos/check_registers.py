"""Check that each key of a session is one register: a read returns the latest write. Pure.

With writes that are all different this can be decided without trying orders: Gibbons and Korach,
"Testing Shared Memories" (SIAM Journal on Computing 26, 1997), section 4. A write and its reads are
a cluster; from the first of their ends to the last of their beginnings its value must have been
there all the time. No two such zones may overlap, and a cluster whose calls have a moment in
common, where it fits in, must not lie within another's zone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .calls import Call, Finding, Harm, Kind, Outcome

_WRITES = (Kind.PUT, Kind.SAVE)


@dataclass(slots=True)
class _Cluster:
    """A write, and what is known from its reads: the first `end` and the last `begin` of all of them."""

    write: Call
    end: float
    begin: float
    sure: bool  # whether the write must have taken place
    latest: Call

    @classmethod
    def of(cls, write: Call, *, sure: bool) -> _Cluster:
        return cls(write, write.until, write.began, sure, write)

    def add(self, read: Call) -> None:
        self.sure = True
        self.end = min(self.end, read.ended)
        if read.began > self.begin:
            self.begin, self.latest = read.began, read


def check_registers(calls: Sequence[Call], start: Call, may_be_dropped: set[str]) -> Iterator[Finding]:
    """`calls` are those of one session that `start` made; puts with a nonce in `may_be_dropped` may have no effect."""
    writes: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.kind in _WRITES and call.outcome in (Outcome.DONE, Outcome.UNKNOWN):
            writes[call.key].append(call)
    reads = [call for call in calls if call.seen is not None]
    for key in writes.keys() | {key for read in reads if read.seen for key in read.seen.values}:
        clusters = {"": _Cluster.of(start, sure=True)}
        for write in writes[key]:
            sure = write.outcome is Outcome.DONE and write.nonce not in may_be_dropped
            clusters[write.nonce] = _Cluster.of(write, sure=sure)
        for read in reads:
            assert read.seen is not None
            cluster = clusters.get(read.seen.values.get(key, ""))
            if cluster is None or read.ended < cluster.write.began:
                yield Finding(Harm.HALF_WRITTEN, read, "a value is there that nobody had written")
            else:
                cluster.add(read)
        yield from _check_zones([cluster for cluster in clusters.values() if cluster.sure])


def _check_zones(clusters: list[_Cluster]) -> Iterator[Finding]:
    zones = sorted((one for one in clusters if one.end < one.begin), key=lambda one: one.end)
    for one, other in pairwise(zones):
        if other.end < one.begin:
            yield Finding(Harm.LOST, one.latest, "a value was seen again after another had taken its place")
    ends = [zone.end for zone in zones]
    for cluster in clusters:
        if cluster.end < cluster.begin:
            continue
        place = bisect_right(ends, cluster.begin) - 1
        if place >= 0 and ends[place] < cluster.begin and cluster.end < zones[place].begin:
            yield Finding(Harm.LOST, zones[place].latest, "a write isn't there: an older value was seen after it")
