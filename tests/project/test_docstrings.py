"""A docstring begins with a short line, and that of a function with an imperative verb."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import starlette_sessions_ext

PACKAGE = Path(starlette_sessions_ext.__file__).parent
MOST_CHARACTERS = 80
NO_IMPERATIVE = re.compile(
    "(a|all|an|and|any|as|at|both|by|each|every|for|from|how|if|in|it|its|no|none|nothing|of|on|one|only|other|our|that"
    "|the|their|these|they|this|those|to|what|when|where|whether|which|who|whose|with|without|.*[^s]s|[^a-z].*)"
)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def is_imperative(word: str) -> bool:
    """Return whether a docstring may begin with this word: "Return", but neither "Returns" nor "Whether"."""
    return not NO_IMPERATIVE.fullmatch(word.rstrip(".,:;").lower())


def is_property(node: Documented) -> bool:
    """Return whether a function is read as an attribute, so that a noun may describe it."""
    return not isinstance(node, ast.Module) and any("property" in ast.unparse(one) for one in node.decorator_list)


def faults(source: str) -> list[str]:
    """Return the first lines of docstrings in `source` that are too long, lack a period or an imperative."""
    found = []
    for node in ast.walk(ast.parse(source)):
        text = ast.get_docstring(node) if isinstance(node, Documented) else None
        if text is None or not isinstance(node, Documented):
            continue
        line = text.splitlines()[0]
        has_verb = isinstance(node, ast.Module | ast.ClassDef) or is_property(node) or is_imperative(line.split()[0])
        if len(line) > MOST_CHARACTERS or not line.endswith(".") or not has_verb:
            found.append(line)
    return found


def test_docstrings_begin_well() -> None:
    paths = list(PACKAGE.rglob("*.py"))
    assert len(paths) > 100
    assert {str(path.relative_to(PACKAGE)): found for path in paths if (found := faults(path.read_text()))} == {}


def test_a_long_first_line_is_found() -> None:
    for length, is_fault in ((MOST_CHARACTERS, False), (MOST_CHARACTERS + 1, True)):
        line = "Return ".ljust(length - 1, "x") + "."
        assert faults(f'"""{line}"""') == [line] * is_fault
        assert faults(f'class Some:\n    """{line}\n\n    {"More text. " * 10}\n    """') == [line] * is_fault
        assert faults(f'def outer():\n    async def inner():\n        """{line}"""') == [line] * is_fault


def test_a_line_without_a_period_is_found() -> None:
    assert faults('"""Cookies"""') == ["Cookies"]


def test_a_function_without_an_imperative_is_found() -> None:
    for line in ("Whether it is.", "The row.", "Returns the row.", "`0 1`: done.", "16 hex digits.", "As `update`."):
        assert faults(f'class Some:\n    def method(self):\n        """{line}"""') == [line]
        assert faults(f'class Some:\n    @cached_property\n    def name(self):\n        """{line}"""') == []
        assert faults(f'class Some:\n    """{line}"""') == []
    for line in ("Return the row.", "Pass the call on.", "Compare-and-swap once."):
        assert faults(f'def function():\n    """{line}"""') == []
