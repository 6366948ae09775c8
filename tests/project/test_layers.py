"""The import rules in pyproject.toml hold for modules that nobody has listed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "starlette_sessions_ext"
LAYERS = "Each layer imports those below it; every module is in one"
STORES = "A store imports its own modules, shared helpers and the contract"
CLIENT = "The HandlerSocket client could be a separate package"
PURE = "The core and HTTP layers do no I/O; waiting is allowed to the modules named here"
REDIS = "redis-py is imported by the Redis store only"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def module(copy: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Yield the path of a module that exists in the copy for one test."""
    path = copy / PACKAGE / request.param
    assert not path.exists()
    yield path
    path.unlink()


def broken_contracts(folder: Path) -> set[str]:
    """Return the names of the contracts that the package in `folder` breaks."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"]
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    broken = {line.partition(" BROKEN")[0] for line in done.stdout.splitlines() if " BROKEN" in line}
    assert done.returncode == bool(broken), done.stdout + done.stderr
    return broken


def test_the_package_keeps_its_contracts(copy: Path) -> None:
    assert broken_contracts(copy) == set()


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("new.py", "", LAYERS),
        ("stores/new.py", "", STORES),
        ("handlersocket/new.py", "", CLIENT),
        ("stores/redis/new.py", "from ...session import Session", LAYERS),
        ("stores/redis/new.py", "from ..url import store_from_url", STORES),
        ("stores/redis/new.py", "from ..sqlite import SQLiteStore", STORES),
        ("stores/_support/new.py", "from ..memory import MemoryStore", STORES),
        ("stores/_support/new.py", "import redis", REDIS),
        ("_core/new.py", "from .._http.cookie import SessionCookie", LAYERS),
        ("_core/new.py", "import asyncio", PURE),
        ("_http/new.py", "from ..middleware import SessionMiddleware", LAYERS),
        ("_http/new.py", "import anyio", PURE),
    ],
    indirect=["module"],
)
def test_a_new_module_cant_escape_them(module: Path, line: str, contract: str, copy: Path) -> None:
    module.write_text(line + "\n")
    assert broken_contracts(copy) == {contract}


def test_no_folder_is_invisible_to_them() -> None:
    folders = {path.parent for path in (ROOT / PACKAGE).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
