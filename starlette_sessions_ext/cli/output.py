"""The output of commands: times, JSON, and the progress of long commands."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from ..stores.base import Finding


def moment(seconds: int) -> str:
    """Return unix seconds as a time that people read."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def print_json(value: Any) -> None:
    """Print a value as indented JSON, in ASCII: a user agent may hold anything."""
    print(json.dumps(value, indent=2))


def print_findings(findings: list[Finding]) -> None:
    """Print each problem, and its remedy below."""
    for finding in findings:
        print(f"{finding.problem}\n    {finding.remedy}")
    if not findings:
        print("all is well")


class Progress:
    """One line that is written over and over on a terminal.

    Elsewhere there is nothing, or a line for each step.
    """

    def __init__(self, *, lines: bool = False) -> None:
        self._lines = lines

    def say(self, done: str, rate: str = "") -> None:
        """Print the progress, and on a terminal the rate."""
        if sys.stderr.isatty():
            print(f"\r{done}{rate}\x1b[K", end="", file=sys.stderr, flush=True)
        elif self._lines:
            print(f"{done} ...", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Erase the line."""
        if sys.stderr.isatty():
            print(end="\r\x1b[K", file=sys.stderr, flush=True)  # back to the start of the line, and erase it
