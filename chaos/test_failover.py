"""Failovers under load, one of each kind on each kind of cluster.

`scripts/failover` tries many, and bounds the seconds before a failover from which a write may be lost.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from .clusters import CLUSTERS, Cluster
from .failover import FAULTS, Fault, fail_over

pytestmark = pytest.mark.slow


class Named(NamedTuple):
    name: str
    cluster: Cluster


@pytest.fixture(scope="module", params=["sentinel, min-replicas", "cluster", "replica set"])
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    with CLUSTERS[request.param](tmp_path_factory.mktemp("cluster")) as cluster:
        yield Named(request.param, cluster)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # redis-py leaves connections to a lost node of a Cluster open
def test_F3_what_a_failover_loses(named: Named, fault: Fault) -> None:
    result = asyncio.run(fail_over(named.cluster, fault))
    gc.collect()
    print(f"{named.name}, {fault.__name__}: {len(result.lost)} of {result.acknowledged} acknowledged writes are lost")
    assert result.acknowledged > 0
    assert result.foreign == result.half_written == 0
    assert result.resumed
    assert result.lost_early == 0
    if named.name == "replica set":
        assert result.lost == result.resurrected == []
