"""Measure how long it takes to list the sessions of a user, and to end ten thousand of them, among few and many others.

A user whose sessions are listed has five. Those that are ended are put into the database before each turn.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import NamedTuple

from anyio.to_thread import run_sync

from starlette_sessions_ext import SessionDirectory

from . import operations, seed
from .report import Findings, Ratio, Table, Target
from .schedule import Figures, turns
from .seed import Place

LIST, REVOKE = "list", "revoke all"
LISTS = 100
"""Lists of a turn, each of another user."""


class Row(NamedTuple):
    """`others` is how many sessions there are besides those that are ended."""

    store: str
    operation: str
    others: str


async def measure(filled: Mapping[str, Mapping[str, Place]], quick: bool) -> Findings:
    """`filled` has the stores by how many sessions are in them, the fewest first and the most last."""
    least, *_, most = filled
    ended = 500 if quick else 10_000
    rows = [
        Row(name, operation, count) for name in filled[least] for operation in (LIST, REVOKE) for count in (least, most)
    ]
    figures = Figures[Row]()
    for turn in turns(rows, 1 if quick else 5, "scale, users", warm_up=not quick):
        name, operation, count = turn.row
        place = filled[count][name]
        if operation == LIST:
            took = await _list(SessionDirectory(place.store), int(count.replace(",", "")))
        else:
            took = await _revoke_all(place, ended)
        figures.add(turn, p50=took * 1000)
    return Findings([_table(rows, figures, least, ended)], list(_targets(figures, filled[least], least, most, ended)))


async def _list(directory: SessionDirectory, sessions: int) -> float:
    """Return the median of the seconds."""
    seconds = []
    for number in random.choices(range(0, sessions, 2), k=LISTS):
        user = seed.user_of_row("row", number)
        assert user is not None
        before = time.perf_counter()
        found = await directory.list(user)
        seconds.append(time.perf_counter() - before)
        if len(found) != 5:
            raise RuntimeError(f"{len(found)} sessions of a user were found, not five")
    return median(seconds)


async def _revoke_all(place: Place, count: int) -> float:
    """Return the seconds."""
    user = "revoked"
    await run_sync(
        place.fill, list(seed.rows(user, count, operations.BODY, int(time.time()) + operations.LIFETIME, user))
    )
    before = time.perf_counter()
    ended = await SessionDirectory(place.store).revoke_all(user)
    seconds = time.perf_counter() - before
    if ended != count:
        raise RuntimeError(f"{ended} sessions were ended, not {count}")
    return seconds


def _table(rows: list[Row], figures: Figures[Row], least: str, ended: int) -> Table:
    head = ("store", "operation", "other sessions", "p50 ms", f"p50 to {least}")
    notes = [
        "list: five sessions",
        f"revoke all: {ended:,} sessions of one user, in batches within the usual deadlines",
    ]
    table = Table("users", "Sessions of one user", head, "p50 ms", notes)
    for row in rows:
        ratio = Ratio(figures.ratio("p50", row, row._replace(others=least)))
        table.rows.append((*row, figures.of(row, "p50"), ratio))
    return table


def _targets(figures: Figures[Row], stores: Iterable[str], least: str, most: str, ended: int) -> Iterator[Target]:
    for name in stores:
        for operation, what in ((LIST, "list of a user"), (REVOKE, f"revoke all {ended:,} of a user")):
            ratio = figures.ratio("p50", Row(name, operation, most), Row(name, operation, least))
            yield Target(f"{what}, {name}: p50 among {most} sessions at most 2x that among {least}", ratio, most=2)
