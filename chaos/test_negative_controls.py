"""Check that a run finds faults: the same run on applications that are wrong on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from .calls import Harm
from .run import for_seconds, run
from .testbed import running_testbed

pytestmark = pytest.mark.slow

SECONDS = 3.0
"""Seconds between two checks of a run, until a fault is found. Longer than a grace lasts."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("control", "harm"),
    [
        ("blind", Harm.LOST),
        ("upsert", Harm.RESURRECTED),
        ("adopting", Harm.RESURRECTED),
        ("credulous", Harm.FOREIGN),
        ("abrupt", Harm.LOST),
        ("clinging", Harm.RESURRECTED),
    ],
)
def test_it_is_caught(control: str, harm: Harm, tmp_path: Path) -> None:
    found: set[Harm] = set()
    with running_testbed("redis", tmp_path, f"chaos.negative_controls:{control}") as testbed:
        while harm not in found:  # until the test's own timeout
            found |= {
                finding.harm for finding in run(testbed, tmp_path, [], lasting=0, pause=for_seconds(SECONDS)).findings
            }
