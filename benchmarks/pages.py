"""Put what a run has measured into the documentation, between markers that name a table:

<!-- bench: http -->
what the last `scripts/bench --pages` wrote
<!-- /bench -->
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from .environment import ROOT

BLOCK = re.compile(r"(?<=<!-- bench: )([\w-]+)( -->\n).*?(?=<!-- /bench -->)", re.DOTALL)

CHARTS = {"summary": "requests.svg"}
"""The charts that pages show: the table, and the file in docs/."""


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def write_pages(folder: Path, tables: Collection[str]) -> set[str]:
    """Replace the blocks of these tables by what the folder holds. Return the names of tables that no page shows."""
    unshown = set(tables)
    for page in pages():
        text = page.read_text()
        filled = fill(text, folder, tables)
        unshown -= {match[1] for match in BLOCK.finditer(text)}
        if filled != text:
            page.write_text(filled)
    for name, target in CHARTS.items():
        if name in tables:
            shutil.copy(folder / f"{name}.svg", ROOT / "docs" / target)
    return unshown


def fill(text: str, folder: Path, tables: Collection[str]) -> str:
    """Return a page with these tables of a run."""

    def replace(match: re.Match[str]) -> str:
        name, end_of_marker = match.groups()
        if name not in tables:
            return match[0]
        return f"{name}{end_of_marker}\n{(folder / f'{name}.md').read_text()}\n"

    return BLOCK.sub(replace, text)
