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
from dataclasses import replace
from pathlib import Path

from .calls import Harm
from .faults import FAULTS, Fault
from .stand import STORES, standing
from .stretches import RECOVERY, Result, Stretch, sum_up
from .trial import run

LASTING, PAUSE = 3.0, 3.0
"""Seconds: a fault outlasts the deadline of an operation, and there is time to see normal service after it."""

_HEAD = ("store", "fault", "times", "operations", "acknowledged", "errors", "normal after", *Harm)


def main(seconds: float, stores: list[str]) -> int:
    rows = []
    for store in stores:
        print(f"{store}, {seconds:.0f} s ...", file=sys.stderr)
        rows += [(store, stretch) for stretch in sum_up(_run(store, seconds).stretches)]
    print(_table(rows))
    wrong = [stretch for _, stretch in rows if stretch.harm or stretch.strange or stretch.normal_after > RECOVERY]
    return 1 if wrong else 0


def _run(store: str, seconds: float) -> Result:
    folder = Path(tempfile.mkdtemp(prefix=f"adversity-{store}-"))
    with standing(store, folder) as stand:
        result = run(stand, folder, _for(seconds, FAULTS[store]), lasting=LASTING, pause=PAUSE)
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


def _table(rows: list[tuple[str, Stretch]]) -> str:
    lines = [_HEAD, *(_line(store, stretch) for store, stretch in rows)]
    lines.append(_line("all", sum_up(_as_one(stretch) for _, stretch in rows)[0]))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _as_one(stretch: Stretch) -> Stretch:
    return replace(stretch, fault="all")


def _line(store: str, stretch: Stretch) -> tuple[str, ...]:
    numbers = (stretch.times, stretch.operations, stretch.acknowledged)
    errors = " ".join(f"{number}x{status or 'none'}" for status, number in sorted(stretch.errors.items())) or "0"
    harm = (str(stretch.harm[kind]) for kind in Harm)
    return (store, stretch.fault, *map(str, numbers), errors, f"{stretch.normal_after:.1f} s", *harm)


if __name__ == "__main__":
    duration, *names = sys.argv[1:] or ["300"]
    sys.exit(main(float(duration), names or list(STORES)))
