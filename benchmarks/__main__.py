"""Run parts of the benchmark, print their tables and write them to build/bench: see docs/performance.md."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from . import bytecodes, capacity, chart, http, imports, inprocess, instructions, php, scale, stores
from .environment import ROOT, describe_environment
from .pages import write_pages
from .report import Target, as_text, table_of, write

PARTS = {
    "bytecodes": bytecodes.measure,
    "instructions": instructions.measure,
    "inprocess": inprocess.measure,
    "http": http.measure,
    "stores": stores.measure,
    "scale": scale.measure,
    "php": php.measure,
    "capacity": capacity.measure,
    "import": imports.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench", description="Measure; all parts if none is named.")
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="all parts in a minute or two")
    parser.add_argument("--pages", action="store_true", help="write the tables into README.md and docs/ as well")
    options = parser.parse_args()
    if options.quick and options.pages:
        parser.error("--pages is for a whole run: leave --quick out")
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    environment = describe_environment(
        " ".join(["scripts/bench", *options.parts, *(["--quick"] if options.quick else [])])
    )
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    targets: list[Target] = []
    measured = set[str]()
    for part in options.parts or PARTS:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            findings = PARTS[part](options.quick, Path(place))
        for table in findings.tables:
            measured.add(table.name)
            print(as_text(table, environment))
            write(table, environment, folder)
            if table.charted:
                chart.draw(table, folder / f"{table.name}.svg")
        targets += findings.targets
    if targets:
        table = table_of(targets)
        print(as_text(table, environment))
        write(table, environment, folder)
    if options.pages:
        tables = measured if options.parts else {*measured, "targets"}  # of all parts, or as they were
        for name in sorted(write_pages(folder, tables)):
            print(f"No page shows the table {name}: it has no <!-- bench: {name} -->.")


if __name__ == "__main__":
    main()
