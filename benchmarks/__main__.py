"""Run parts of the benchmark, print their tables and write them to build/bench: see docs/performance.md."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from . import bytecodes, chart, http, imports, inprocess, instructions, php, scale, stores
from .environment import ROOT, describe_environment
from .report import Target, as_text, table_of, write

PARTS = {
    "bytecodes": bytecodes.measure,
    "instructions": instructions.measure,
    "inprocess": inprocess.measure,
    "http": http.measure,
    "stores": stores.measure,
    "scale": scale.measure,
    "php": php.measure,
    "import": imports.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench", description="Measure; all parts if none is named.")
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="all parts in a minute or two")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    environment = describe_environment(
        " ".join(["scripts/bench", *options.parts, *(["--quick"] if options.quick else [])])
    )
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    targets: list[Target] = []
    for part in options.parts or PARTS:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            findings = PARTS[part](options.quick, Path(place))
        for table in findings.tables:
            print(as_text(table, environment))
            write(table, environment, folder)
            chart.draw(table, folder / f"{table.name}.png")
        targets += findings.targets
    if targets:
        table = table_of(targets)
        print(as_text(table, environment))
        write(table, environment, folder)


if __name__ == "__main__":
    main()
