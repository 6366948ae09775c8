"""Run `asked` under callgrind, and read how many instructions its requests took."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from .asked import REQUESTS
from .environment import PEERS, ROOT

_TOTAL = re.compile(r"^totals: (\d+)$", flags=re.MULTILINE)


def count_instructions(app: str, kinds: Sequence[str], folder: Path) -> Iterator[tuple[str, float]]:
    """Yield each kind of request, and the instructions that one request of it takes.

    `app` is the name of an application in `apps`; one with a store has a `MemoryStore`. Callgrind leaves a
    dump for each kind in the folder: APP.1, APP.2 and so on, for callgrind_annotate.
    """
    output, log = folder / app, folder / f"{app}.log"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={output}"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*valgrind, str(PEERS), "-m", "benchmarks.asked", app, *kinds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, "SESSIONS": "memory://", "PYTHONHASHSEED": "0"},
        )
        with process:
            try:
                for number, kind in enumerate(kinds, 1):
                    _measure(process, kind, log)
                    yield kind, total_of(output.with_name(f"{app}.{number}").read_text()) / REQUESTS
            except BaseException:
                process.kill()
                raise


def total_of(dump: str) -> int:
    """Return the instructions in a dump of callgrind. Raises RuntimeError if it holds none."""
    match = _TOTAL.search(dump)
    if match is None or match[1] == "0":
        raise RuntimeError("callgrind has counted no instructions")
    return int(match[1])


def _measure(process: subprocess.Popen[str], kind: str, log: Path) -> None:
    """Count between the two lines that the process prints for a kind, and dump it."""
    _wait_for(process, kind, log)
    _control(process, "--instr=on")
    _control(process, "--zero")
    _go_on(process)
    _wait_for(process, kind, log)
    _control(process, "--dump")
    _control(process, "--instr=off")
    _go_on(process)


def _wait_for(process: subprocess.Popen[str], kind: str, log: Path) -> None:
    assert process.stdout is not None
    if process.stdout.readline() != f"{kind}\n":
        raise RuntimeError(f"the application failed under callgrind:\n{log.read_text()}")


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    print(file=process.stdin, flush=True)


def _control(process: subprocess.Popen[str], option: str) -> None:
    subprocess.run(["callgrind_control", option, str(process.pid)], check=True, capture_output=True)
