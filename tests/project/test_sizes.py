"""A file holds one idea, and a function fits on a screen: bounds that the package keeps."""

from __future__ import annotations

import ast
from pathlib import Path

import starlette_sessions_ext

PACKAGE = Path(starlette_sessions_ext.__file__).parent
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 50
MOST_MODULES_AT_THE_TOP = 14


def too_long(source: str) -> list[str]:
    """Return the names of the functions in `source` that are too long."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [one.name for one in functions if (one.end_lineno or 0) - one.lineno >= MOST_LINES_OF_A_FUNCTION]


def test_no_file_and_no_function_is_long() -> None:
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    assert sources
    assert {path.name: count for path, text in sources.items() if (count := len(text.splitlines())) > MOST_LINES} == {}
    assert {path.name: names for path, text in sources.items() if (names := too_long(text))} == {}


def test_a_long_function_is_found() -> None:
    for lines, found in ((MOST_LINES_OF_A_FUNCTION - 1, []), (MOST_LINES_OF_A_FUNCTION, ["long"])):
        assert too_long("async def long():\n" + "    pass\n" * lines) == found


def test_the_top_is_seen_at_a_glance() -> None:
    assert len([*PACKAGE.glob("[!_]*.py"), *PACKAGE.glob("_[!_]*.py")]) <= MOST_MODULES_AT_THE_TOP
