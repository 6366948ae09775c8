"""The reference is complete and true: options, names, errors, messages, and the store of docs/store-contract.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import starlette_sessions_ext
from starlette_sessions_ext import errors, fastapi, flash, handlersocket, php, testing

from ..support import pages

PACKAGE = Path(starlette_sessions_ext.__file__).parent
SHOWN = {
    name.removeprefix("starlette_sessions_ext.")
    for page in pages.DOCS.glob("api*.md")
    for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)
}
ALIASES = {"fastapi.SessionDep", "php.Format"}  # of types: the pages say in a sentence what they are


@pytest.mark.parametrize("module", [starlette_sessions_ext, fastapi, testing, php], ids=lambda module: module.__name__)
def test_every_public_name_is_shown(module: object) -> None:
    prefix = module.__name__.removeprefix("starlette_sessions_ext").lstrip(".")  # type: ignore[attr-defined]
    names = {f"{prefix}.{name}".lstrip(".") for name in module.__all__}  # type: ignore[attr-defined]
    again = {f"fastapi.{name}" for name in starlette_sessions_ext.__all__}  # names that can be imported from both
    assert names - SHOWN - ALIASES - again == set()


def test_every_flash_function_and_the_handlersocket_client_are_shown() -> None:
    functions = {name for name in vars(flash) if getattr(vars(flash)[name], "__module__", None) == flash.__name__}
    assert {f"flash.{name}" for name in functions if not name.startswith("_")} <= SHOWN
    classes = {"Client", "Pool", "Connection", "Index", "Filter", "Reply"}
    assert classes <= set(handlersocket.__all__)
    assert {f"handlersocket.{name}" for name in classes} <= SHOWN


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    page = pages.sections((pages.DOCS / "errors.md").read_text())
    tree = re.findall(r"^([│ ]*)(?:[├└]── )?(\w+)(?: \((\w+)\))?$", page["The tree"], flags=re.MULTILINE)
    parents: list[str] = []
    shown = {}
    for indent, name, other in tree:
        if name == "SessionError":
            parents = [name]
            continue
        depth = len(indent) // 4 + 1
        parents[depth:] = [name]
        shown[name] = {parents[depth - 1]} | ({other} if other else set())
    found = {
        name: {base.__name__ for base in kind.__bases__}
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.SessionError) and name != "SessionError"
    }
    assert shown == found
    rows = re.findall(r"^\| `(\w+)` \|", page["What raises what, and what to do"], flags=re.MULTILINE)
    assert set(rows) == set(found)


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module, with a gap for what is put into them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


MESSAGES = re.findall(r"^\| `([^`]+)` \|", (pages.DOCS / "troubleshooting.md").read_text(), flags=re.MULTILINE)
OF_STARLETTE = "SessionMiddleware must be installed to access request.session"


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the package says: its own texts, with gaps."""
    return [text for path in PACKAGE.rglob("*.py") for text in texts(path)]


@pytest.mark.parametrize("message", [message for message in MESSAGES if message != OF_STARLETTE])
def test_the_messages_are_those_of_the_code(said: list[str], message: str) -> None:
    pattern = re.compile("\0".join(re.escape(part) for part in message.split("...")))
    assert any(pattern.search(text) for text in said)


@pytest.mark.slow
def test_the_store_that_is_shown_passes_the_contract(tmp_path: Path) -> None:
    page = (pages.DOCS / "store-contract.md").read_text()
    for title, code in re.findall(r'^```python title="(.+?)"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL):
        (tmp_path / title).write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert re.search(r"^\d{2,} passed", done.stdout, re.MULTILINE), done.stdout + done.stderr
