"""Failovers under load, one of each kind on each kind of cluster; `scripts/failover` tries many."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from .clusters import CLUSTERS, DETECTED_AFTER, MAX_LAG, Cluster
from .failover import FAULTS, Fault, fail_over

BOUNDS = {
    "sentinel, min-replicas": MAX_LAG + 1.0,  # without a replica that heard of it a master refuses
    "cluster": DETECTED_AFTER,  # a master that hears of no majority for so long refuses
    "replica set": 0.0,
}
"""How many seconds before the failover an acknowledged write may have been made that is lost."""


class Named(NamedTuple):
    name: str
    cluster: Cluster


@pytest.fixture(scope="module", params=BOUNDS)
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    with CLUSTERS[request.param](tmp_path_factory.mktemp("cluster")) as cluster:
        yield Named(request.param, cluster)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # redis-py leaves connections to a lost node of a Cluster open
def test_F3_what_a_failover_loses(named: Named, fault: Fault) -> None:
    result = asyncio.run(fail_over(named.cluster, fault))
    gc.collect()
    print(f"{named.name}, {fault.__name__}: {len(result.lost)} of {result.acknowledged} acknowledged writes are lost")
    assert result.acknowledged > 0
    assert result.foreign == result.half_written == 0
    assert result.resumed
    if named.name == "replica set":
        assert result.lost == result.resurrected == []
    else:
        assert max([0.0, *result.lost, *result.resurrected]) <= BOUNDS[named.name]
