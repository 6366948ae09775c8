"""Starlette's own tests of its session middleware pass with ours in its place.

The tests are those of the installed version, from its source distribution, run as they are with
the configuration that comes with them; all of them apply. Only `SessionMiddleware` is swapped.
`Session` stays Starlette's in the one test that looks at the class alone: there `pop` of a missing
key leaves `accessed` unset, while ours sets it, because what an answer says then depends on the
cookie.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).parent / "starlette_suite"
THEIRS = "tests/middleware/test_session.py"
VERSION = importlib.metadata.version("starlette")

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]  # the first run fetches the source distribution


@pytest.fixture(scope="module")
def archive() -> Path:
    """The source distribution of the installed Starlette, fetched once and kept."""
    cache = ROOT / ".cache" / "starlette"
    kept = cache / f"starlette-{VERSION}.tar.gz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as download:
            options = ["--quiet", "--no-deps", "--no-binary", "starlette", "--dest", download]
            run([sys.executable, "-m", "pip", "download", *options, f"starlette=={VERSION}"], cwd=ROOT)
            (Path(download) / kept.name).replace(kept)  # whole or not at all
    return kept


@pytest.fixture
def source(archive: Path, tmp_path: Path) -> Path:
    """Its tests, unpacked. The package itself isn't: they run on the installed one.

    File by file: Debian 12's Python has no `extractall(filter=)` that refuses paths leading elsewhere.
    """
    top = f"starlette-{VERSION}"
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile() and member.name.startswith((f"{top}/tests/", f"{top}/pyproject.toml")):
                content, target = tar.extractfile(member), tmp_path / member.name
                assert content is not None
                assert ".." not in target.parts
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
    return tmp_path / top


@pytest.mark.parametrize("store", ["default", "sqlite"])
def test_starlettes_own_session_tests_pass(source: Path, tmp_path: Path, store: str) -> None:
    report = tmp_path / "report.json"
    environment = {"PYTHONPATH": str(PLUGINS), "SWAP_REPORT": str(report)}
    if store == "sqlite":
        environment["SWAP_SQLITE"] = str(tmp_path / "sessions.db")
    command = [sys.executable, "-m", "pytest", "-p", "swapped_middleware", "-p", "no:cacheprovider", THEIRS]
    output = run(command, cwd=source, **environment)

    results: list[dict[str, Any]] = json.loads(report.read_text())
    assert {result["name"] for result in results} == theirs_in(source / THEIRS), output
    for result in results:
        assert result["phases"] == {"setup": "passed", "call": "passed", "teardown": "passed"}, output
        assert (result["made"] > 0, result["calls"] > 0) == (result["uses_app"], result["uses_app"]), result
    assert [result["name"] for result in results if not result["uses_app"]] == ["test_session_tracks_modification"]
    if store == "sqlite":
        assert (tmp_path / "sessions.db").exists()


def theirs_in(path: Path) -> set[str]:
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {function.name for function in functions if function.name.startswith("test_")}


def run(command: list[str], cwd: Path, **environment: str) -> str:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout
