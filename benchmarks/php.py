"""Time to decode and encode PHP's formats, compared with json in the same process: sessions of about 100 kB.

Time is that of the processor. The session of small values is a shopping cart: rows of numbers, short texts and
flags. That of long strings holds texts of a kilobyte, a few characters of which aren't ASCII. A list of numbers
has no target: there json gains most from being written in C.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from starlette_sessions_ext.php import Format, dumps, loads

from .report import Findings, Ratio, Table, Target
from .schedule import Figures, turns

SIZE = 100_000  # bytes in the format php
SMALL, LONG, NUMBERS = "small values", "long strings", "a list of numbers"
FORMATS: tuple[Format, ...] = ("php", "php_serialize")
MOST = {"decode": 15.0, "encode": 5.0}
"""Times as long as json that each may take."""


class Row(NamedTuple):
    session: str
    work: str
    format: str


def measure(quick: bool, folder: Path) -> Findings:
    steps = dict(_steps(sessions()))
    figures = Figures[Row]()
    for turn in turns(list(steps), 3 if quick else 15, "php"):
        figures.add(turn, ms=_time(steps[turn.row], 5 if quick else 20))
    return Findings([_table(figures, steps)], _targets(figures))


def sessions() -> Mapping[str, dict[str, Any]]:
    return {
        SMALL: _filled({"user": "ann", "rows": []}, _row),
        LONG: _filled({"user": "ann", "rows": []}, lambda number: f'{number}: "Zoë" <b>' + "text and more " * 70),
        NUMBERS: _filled({"user": "ann", "rows": []}, lambda number: number),
    }


def _filled(session: dict[str, Any], make: Callable[[int], object]) -> dict[str, Any]:
    """Put in so much that the session takes `SIZE` bytes."""
    rows = session["rows"]
    rows.append(make(0))
    one = len(dumps(session, "php"))
    while len(rows) < SIZE // one or len(dumps(session, "php")) < SIZE:
        rows.append(make(len(rows)))
    return session


def _row(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "sku": f"AB-{number:05}",
        "quantity": number % 7 + 1,
        "price": number * 1.25 + 0.99,
        "gift": number % 2 == 0,
        "note": None,
        "tags": ["new", "sale"],
    }


def _steps(sessions: Mapping[str, dict[str, Any]]) -> Iterator[tuple[Row, Callable[[], object]]]:
    for name, session in sessions.items():
        text = json.dumps(session)
        yield Row(name, "decode", "json"), partial(json.loads, text)
        yield Row(name, "encode", "json"), partial(json.dumps, session)
        for format in FORMATS:
            stored = dumps(session, format)
            yield Row(name, "decode", format), partial(loads, stored, format)
            yield Row(name, "encode", format), partial(dumps, session, format)


def _time(step: Callable[[], object], times: int) -> float:
    """Return milliseconds for one step."""
    before = time.thread_time()
    for _ in range(times):
        step()
    return (time.thread_time() - before) / times * 1000


def _table(figures: Figures[Row], rows: Mapping[Row, object]) -> Table:
    head = ("session", "work", "format", "ms", "to json")
    table = Table(
        "php", "PHP's formats and json", head, "ms", (f"each session takes {SIZE:,} bytes in the format php",)
    )
    for row in rows:
        ratio = Ratio(figures.ratio("ms", row, row._replace(format="json")))
        table.rows.append((*row, figures.of(row, "ms"), ratio))
    return table


def _targets(figures: Figures[Row]) -> Iterator[Target]:
    for session in (SMALL, LONG):
        for work, most in MOST.items():
            for format in FORMATS:
                row = Row(session, work, format)
                ratio = figures.ratio("ms", row, row._replace(format="json"))
                yield Target(f"{format}, {session}: {work}s in at most {most:g}x of json", ratio, most=most)
