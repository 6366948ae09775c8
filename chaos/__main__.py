"""The long run: all the faults over and over on each store, and a table of what was tried and found.

python -m chaos [seconds per store] [stores]
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import table
from .faults import FAULTS, Fault
from .phases import RECOVERY, Phase, Result, sum_up
from .run import for_seconds, run
from .testbed import STORES, running_testbed

LASTING, PAUSE = 3.0, 3.0
"""Seconds: a fault outlasts the deadline of an operation, and there is time to see normal service after it."""


def main(seconds: float, stores: list[str]) -> int:
    """Each store's rows are printed when it is done, in case the run is stopped."""
    began = time.monotonic()
    phases: list[Phase] = []
    servers: list[str] = []
    print(table.head(), flush=True)
    for store in stores:
        print(f"{store}, {seconds:.0f} s ...", file=sys.stderr)
        own = sum_up(_run(store, seconds, servers).phases)
        print(*(table.row(store, phase) for phase in own), sep="\n", flush=True)
        phases += own
    print(table.total(phases), table.foot(time.monotonic() - began, servers), sep="\n")
    return 1 if any(one.harm or one.strange or one.normal_after > RECOVERY for one in phases) else 0


def _run(store: str, seconds: float, servers: list[str]) -> Result:
    """`servers` gets the store's name."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{store}-"))
    with running_testbed(store, folder) as testbed:
        if testbed.server is not None:
            servers.append(table.version(testbed.server))
        result = run(testbed, folder, _for(seconds, FAULTS[store]), lasting=LASTING, pause=for_seconds(PAUSE))
    for finding in result.findings[:20]:
        print(f"{finding.harm}: {finding.text}. {finding.call}", file=sys.stderr)
    if result.findings or any(phase.strange for phase in result.phases):
        print(f"the histories and what the workers said are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return result


def _for(seconds: float, faults: list[Fault]) -> Iterator[Fault]:
    """Over and over, while there is time, and each at least once."""
    began = time.monotonic()
    for number, fault in enumerate(itertools.cycle(faults)):
        if number >= len(faults) and time.monotonic() - began > seconds:
            return
        yield fault


if __name__ == "__main__":
    duration, *names = sys.argv[1:] or ["300"]
    sys.exit(main(float(duration), names or list(STORES)))
