"""Processor time of `import starlette_sessions_ext`, after that of the module it replaces, in new processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .report import Findings, Table, Target
from .schedule import Figures, turns

MOST = 15.0
"""Milliseconds that the import may take where Starlette's own sessions are imported."""

STARLETTE, OURS = "starlette.middleware.sessions", "starlette_sessions_ext"

_TIMED = f"""
import time
start = time.process_time()
import {STARLETTE}
between = time.process_time()
import {OURS}
print((between - start) * 1000, (time.process_time() - between) * 1000)
"""


def measure(quick: bool, folder: Path) -> Findings:
    figures = Figures[str]()
    for turn in turns([OURS], 5 if quick else 25, "import"):
        theirs, ours = _run(folder)
        figures.add(turn, theirs=theirs, ours=ours)
    head = ("step", "import", "ms")
    note = "processor time; each import follows the one above it in the same process; bytecode is compiled before"
    table = Table("import", "Time to import", head, "ms", [note])
    table.rows.append(("import", STARLETTE, figures.of(OURS, "theirs")))
    table.rows.append(("import", OURS, figures.of(OURS, "ours")))
    aim = f"import, the fastest: at most {MOST:g} ms on top of {STARLETTE}"  # other processes only make it slower
    return Findings([table], [Target(aim, figures.of(OURS, "ours").low, most=MOST)])


def _run(folder: Path) -> tuple[float, float]:
    """Import in a new process. The round that warms up leaves the bytecode in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder)
    command = [sys.executable, "-c", _TIMED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    theirs, ours = map(float, done.stdout.split())
    return theirs, ours
