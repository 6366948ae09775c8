"""The promises under fire, on every store, for some hundred requests around each fault.

`scripts/chaos` does it for minutes, with all faults, and bounds the seconds until service is normal again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .application import TIMEOUT
from .faults import (
    Fault,
    backends_terminated,
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
from .run import run, until_normal
from .testbed import running_testbed

pytestmark = pytest.mark.slow

LASTING = 1.0
"""Seconds of each fault."""

ENOUGH = 150
"""Answers in a row, of each process that asks, after which service counts as normal."""

BROWSERS = 2
"""In each process: little load, so that a busy machine serves it within the stores' timeout."""

PATIENCE = "6"
"""Seconds that an operation of a store with a server may take, for the same reason."""

FAULTS: dict[str, list[Fault]] = {
    "memory": [worker_frozen],
    "sqlite": [worker_killed, disk_full],
    "redis": [server_killed, scripts_flushed],
    "mysql": [connections_killed, server_killed],
    "postgresql": [backends_terminated, server_killed],
    "mongo": [replies_swallowed, server_killed],
    "handlersocket": [connections_reset, server_frozen],
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", FAULTS)
def test_nothing_is_lost_resurrected_foreign_or_half_written(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Service is normal again after each fault: else the run ends with an error."""
    if store != "memory":
        monkeypatch.setenv(TIMEOUT, PATIENCE)
    with running_testbed(store, tmp_path) as testbed:
        result = run(testbed, tmp_path, FAULTS[store], lasting=LASTING, pause=until_normal(ENOUGH), browsers=BROWSERS)
    assert result.findings == []
    calm, *struck = result.phases
    assert calm.operations > 0
    assert calm.errors == {}
    for phase in struck:
        assert phase.operations >= ENOUGH
        assert phase.strange == set()
