"""The pytest plugin: fixtures for applications, at no cost where no test asks for them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = "starlette_sessions_ext_pytest"

TEST = """
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from starlette_sessions_ext import MemoryStore, SessionMiddleware


async def show(request):
    return JSONResponse(dict(request.session))


@pytest.fixture
def client():
    app = Starlette(routes=[Route("/", show)])
    app.add_middleware(SessionMiddleware, secret_key="x" * 32, store=MemoryStore())
    with TestClient(app) as client:
        yield client


def test_signed_in(client, sign_in, session_of):
    sign_in(client, 42)
    with session_of(client) as session:
        session["cart"] = ["tea"]
    assert client.get("/").json() == {"user_id": 42, "cart": ["tea"]}
"""


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:valkey", "-W", "error", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"PYTHONPATH": str(ROOT)})


@pytest.mark.slow
def test_its_fixtures_serve_a_test_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(TEST)
    done = run_pytest(tmp_path)
    assert "1 passed" in done.stdout, done.stdout
    assert "warning" not in done.stdout + done.stderr
    listed = run_pytest(tmp_path, "--fixtures").stdout
    assert "session_of -- " in listed
    assert "sign_in(client, 42)" in listed


def test_where_no_test_asks_for_it_nothing_of_the_package_is_imported(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n\ndef test_other():\n    assert 'starlette_sessions_ext' not in sys.modules\n"
    )
    done = run_pytest(tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_pytest_finds_it() -> None:
    [(name, value)] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "pytest11"
    ].items()
    assert (name, value) == ("starlette_sessions_ext", MODULE)


@pytest.mark.parametrize("name", ["StoreContract", "NetworkStoreContract"])
def test_the_contracts_are_rewritten_by_pytest(name: str, tmp_path: Path) -> None:
    (tmp_path / "test_store.py").write_text(
        f"from starlette_sessions_ext.testing import {name}\n"
        "import starlette_sessions_ext.testing as testing\n"
        "import sys\n\n\n"
        "def test_it():\n"
        f"    module = sys.modules[{name}.__module__]\n"
        "    assert type(module.__loader__).__name__ == 'AssertionRewritingHook'\n"
        f"    assert testing.{name} is {name}\n"
    )
    done = run_pytest(tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_other_names_are_missing() -> None:
    from starlette_sessions_ext import testing

    with pytest.raises(AttributeError, match="has no attribute 'Contract'"):
        testing.Contract  # noqa: B018
    assert set(testing.__all__) <= set(dir(testing)) | {"StoreContract", "NetworkStoreContract"}


def test_testing_needs_no_pytest() -> None:
    code = "import sys; import starlette_sessions_ext.testing; assert 'pytest' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
