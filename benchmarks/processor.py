"""Processor time of a server, from Linux's /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.support.servers import Server


def processor_seconds(server: Server) -> float:
    """Return the seconds that a server has used: its process, those that it has started, and what these had started."""
    assert server.pid is not None
    return sum(map(_ticks, [server.pid, *_children(server.pid)])) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    """Return utime and stime, also those of children that have ended (proc_pid_stat(5)); 0 if the process is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return 0


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
