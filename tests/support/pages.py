"""The Python and the links of a Markdown page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starlette_sessions_ext.stores._support.encryption_keys import new_encryption_key

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


Run = Callable[[str], dict[str, Any]]
"""Executes the Python of a page, and returns its names."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Execute the Python of a page under docs/."""
    return lambda page: execute((DOCS / page).read_text(), tmp_path, monkeypatch)


def execute(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute the Python of a page, or of a part of one, as a reader would in an empty folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SESSIONS_ENCRYPTION_KEY", new_encryption_key())
    names: dict[str, Any] = {"__name__": "page"}
    for _, code in re.findall(r"^( *)```python\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL):
        exec(compile(textwrap.dedent(code), "page.md", "exec", dont_inherit=True), names)
    return names


def sections(text: str) -> dict[str, str]:
    """The parts under the headings of the second level."""
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))


def links(text: str) -> list[str]:
    """Where the page links to, outside of code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(text: str) -> set[str]:
    """What can stand behind the # of a link to this page."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
