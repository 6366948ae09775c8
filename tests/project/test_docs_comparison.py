"""docs/comparison.md and the README: the trials are those of scripts/compare, and two columns are tried here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import starlette_sessions_ext
from benchmarks.compare import asgi
from benchmarks.compare.serving import serving
from benchmarks.compare.trials import TRIALS

from ..support import pages

Table = dict[str, dict[str, str]]


def table_of(text: str) -> Table:
    """Return the cells of the first table by row and column, whose versions are left out."""
    lines = [line.strip("|").split("|") for line in re.findall(r"^\|.+\|$", text, flags=re.MULTILINE)]
    rows = [[cell.strip() for cell in line] for line in lines]
    heads = [re.sub(r" [\d.]+$", "", head) for head in rows[0]]
    return {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows[2:]}


TRIED = table_of(pages.sections((pages.DOCS / "comparison.md").read_text())["What was tried"])
README = table_of(pages.sections((pages.ROOT / "README.md").read_text())["What others do"])


def test_the_heads_name_the_version() -> None:
    for page in ("README.md", "docs/comparison.md"):
        heads = set(re.findall(r"this package ([\d.]+)", (pages.ROOT / page).read_text()))
        assert heads == {starlette_sessions_ext.__version__}


def test_the_page_has_all_trials() -> None:
    assert list(TRIED) == list(TRIALS)


def test_the_readme_says_what_the_page_says() -> None:
    assert len(README) == 8
    for row, cells in README.items():
        assert cells == TRIED[row]


@pytest.mark.slow
@pytest.mark.parametrize(("column", "app"), [("this package", asgi.ours), ("Starlette", asgi.starlette)])
def test_two_columns_are_what_is_seen(column: str, app: Callable[[str], Any]) -> None:
    with serving(app("memory://"), is_asgi=True) as port:
        seen = {name: trial(port) for name, trial in TRIALS.items()}
    assert seen == {name: cells[column] for name, cells in TRIED.items()}
