"""The promises under fire, on every store, for seconds. `scripts/adversity` does it for minutes, with all faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from .faults import (
    Fault,
    connections_killed,
    connections_reset,
    disk_full,
    replies_swallowed,
    scripts_flushed,
    server_frozen,
    server_killed,
    worker_frozen,
    worker_killed,
)
from .stand import standing
from .stretches import RECOVERY
from .trial import run

LASTING, PAUSE = 1.0, 2.5
"""Seconds: each fault, and what is between two."""

FAULTS: dict[str, list[Fault]] = {
    "memory": [worker_frozen],
    "sqlite": [worker_killed, disk_full],
    "redis": [server_killed, scripts_flushed],
    "mysql": [connections_killed, server_killed],
    "mongo": [replies_swallowed, server_killed],
    "handlersocket": [connections_reset, server_frozen],
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("store", FAULTS)
def test_nothing_is_lost_resurrected_foreign_or_half_written(store: str, tmp_path: Path) -> None:
    with standing(store, tmp_path) as stand:
        result = run(stand, tmp_path, FAULTS[store], lasting=LASTING, pause=PAUSE)
    assert result.findings == []
    calm, *struck = result.stretches
    assert calm.operations > 0
    assert calm.errors == {}
    for stretch in struck:
        assert stretch.strange == set()
        assert stretch.normal_after <= RECOVERY + calm.slowest, "on a busy machine all takes longer"
