"""The long run: all the faults over and over on each store, and a table of what was tried and found.

python -m tests.adversity [seconds per store] [stores]
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
from .stand import STORES, standing
from .stretches import RECOVERY, Result, Stretch, sum_up
from .trial import for_seconds, run

LASTING, PAUSE = 3.0, 3.0
"""Seconds: a fault outlasts the deadline of an operation, and there is time to see normal service after it."""


def main(seconds: float, stores: list[str]) -> int:
    """Each store's rows are printed when it is done, for whoever doesn't see the end."""
    began = time.monotonic()
    stretches: list[Stretch] = []
    servers: list[str] = []
    print(table.head(), flush=True)
    for store in stores:
        print(f"{store}, {seconds:.0f} s ...", file=sys.stderr)
        own = sum_up(_run(store, seconds, servers).stretches)
        print(*(table.row(store, stretch) for stretch in own), sep="\n", flush=True)
        stretches += own
    print(table.total(stretches), table.foot(time.monotonic() - began, servers), sep="\n")
    return 1 if any(one.harm or one.strange or one.normal_after > RECOVERY for one in stretches) else 0


def _run(store: str, seconds: float, servers: list[str]) -> Result:
    """`servers` is told which one it was."""
    folder = Path(tempfile.mkdtemp(prefix=f"adversity-{store}-"))
    with standing(store, folder) as stand:
        if stand.server is not None:
            servers.append(table.version(stand.server))
        result = run(stand, folder, _for(seconds, FAULTS[store]), lasting=LASTING, pause=for_seconds(PAUSE))
    for finding in result.findings[:20]:
        print(f"{finding.harm}: {finding.text}. {finding.call}", file=sys.stderr)
    if result.findings or any(stretch.strange for stretch in result.stretches):
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
