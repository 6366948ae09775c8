"""Instructions that a session middleware adds to a request, end to end: uvicorn and Starlette, without the kernel.

Counted by callgrind, and the same on a noisy machine. It sees what C functions do, which `bytecodes` doesn't,
and says more about processor time than anything else that is exact. A request to Starlette without sessions is
subtracted; what a longer response costs the server isn't.
"""

from __future__ import annotations

from pathlib import Path

from .asked import REQUESTS
from .callgrind import count_instructions
from .report import Findings, Ratio, Table, Target
from .schedule import Figure, show

MOST = {"read": 75_000, "write": 145_000, "anonymous": 28_000, "forged": 58_000}
"""Instructions that each kind of request is to cost at most."""

APPS = {"bare": "bare Starlette", "cookies": "Starlette's cookie sessions", "ours": "ours, memory"}
"""Functions of `apps`, and what tables call them."""

Counts = dict[str, dict[str, float]]
"""The instructions of a request, by application and kind."""


def measure(quick: bool, folder: Path) -> Findings:
    counts: Counts = {}
    for number, app in enumerate(APPS, 1):
        show(f"instructions: {number} of {len(APPS)}")
        counts[app] = dict(count_instructions(app, list(MOST), folder))
    show("")
    return report(counts)


def report(counts: Counts) -> Findings:
    head = ("requests", "middleware", "instructions", "added", "to cookie sessions")
    note = f"callgrind; uvicorn on a transport in memory, {REQUESTS} requests after a warm-up"
    table = Table("instructions", "Instructions that a middleware adds to a request, end to end", head, "added", [note])
    targets = []
    for kind, most in MOST.items():
        bare = counts["bare"][kind]
        for app, name in APPS.items():
            whole, added = counts[app][kind], counts[app][kind] - bare
            ratio = Ratio(added / (counts["cookies"][kind] - bare))
            table.rows.append((kind, name, _exact(whole), _exact(added), ratio))
        aim = f"{kind}, memory: adds at most {most:,} instructions"
        targets.append(Target(aim, counts["ours"][kind] - bare, most=most))
    return Findings([table], targets)


def _exact(value: float) -> Figure:
    return Figure(value, value, value)
