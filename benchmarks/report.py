"""Report a run: tables to read, and the same as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .schedule import Figure


class Ratio(float):
    """A multiple of the row that this one is compared with."""

    def __str__(self) -> str:
        return f"{self:.2f}x"


Cell = str | Figure | Ratio


@dataclass(frozen=True)
class Table:
    """`head` names the columns, each of one kind of cell; the first says what rows belong together.

    `charted` is the column of figures that the chart shows; empty for a table without one.
    """

    name: str
    title: str
    head: Sequence[str]
    charted: str
    notes: Sequence[str] = ()
    rows: list[Sequence[Cell]] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """An aim of a measurement: `measured` is at least `least`, or at most `most`."""

    aim: str
    measured: float
    least: float | None = None
    most: float | None = None

    @property
    def reached(self) -> bool:
        return (self.least is None or self.measured >= self.least) and (self.most is None or self.measured <= self.most)


@dataclass(frozen=True)
class Findings:
    """The results of one part of the benchmark."""

    tables: Sequence[Table]
    targets: Iterable[Target] = ()


def table_of(targets: Sequence[Target]) -> Table:
    table = Table("targets", "What was to be reached", ("target", "measured", "reached"), "")
    for target in targets:
        table.rows.append((target.aim, f"{target.measured:.2f}", "yes" if target.reached else "NO"))
    return table


def as_text(table: Table, about: Mapping[str, str]) -> str:
    lines = [table.head, *([_text(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = _are_text(table)
    body = (
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )
    return "\n".join([table.title, *body, *table.notes, *(f"{name}: {value}" for name, value in about.items()), ""])


def as_markdown(table: Table, about: Mapping[str, str]) -> str:
    rule = ["---" if is_text else "--:" for is_text in _are_text(table)]
    lines = [table.head, rule, *([_text(cell) for cell in row] for row in table.rows)]
    body = (f"| {' | '.join(line)} |" for line in lines)
    facts = (f"{name}: {value}" for name, value in about.items())
    return "\n".join([f"**{table.title}**", "", *body, "", "  \n".join([*table.notes, *facts]), ""])


def write(table: Table, about: Mapping[str, str], folder: Path) -> None:
    """NAME.csv, NAME.json and NAME.md in the folder."""
    rows = [dict(_values(table, row)) for row in table.rows]
    with (folder / f"{table.name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    content = {"title": table.title, "about": about, "notes": table.notes, "rows": rows}
    (folder / f"{table.name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / f"{table.name}.md").write_text(as_markdown(table, about))


def _values(table: Table, row: Sequence[Cell]) -> Iterator[tuple[str, str | float]]:
    """The cells of a row with the names of their columns; a figure is three."""
    for name, cell in zip(table.head, row, strict=True):
        if isinstance(cell, Figure):
            yield from ((name, cell.median), (f"{name}, least", cell.low), (f"{name}, most", cell.high))
        else:
            yield name, float(cell) if isinstance(cell, Ratio) else cell


def _are_text(table: Table) -> list[bool]:
    """Which columns hold nothing but text."""
    return [all(isinstance(cell, str) for cell in column) for column in zip(*table.rows, strict=True)]


def _text(cell: Cell) -> str:
    if isinstance(cell, Figure):
        if cell.low == cell.high:  # measured once
            return _number(cell.median)
        return f"{_number(cell.median)} ({_number(cell.low)}..{_number(cell.high)})"
    return str(cell)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
