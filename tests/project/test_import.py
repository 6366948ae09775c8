"""What `import starlette_sessions_ext` loads, and what only at its first use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import starlette_sessions_ext as package
from benchmarks import imports
from starlette_sessions_ext.stores import mysql, postgresql

ROOT = Path(__file__).parents[2]
NAME = package.__name__

AT_FIRST_USE = (
    "_core.session_directory",
    "cli",
    "handlersocket",
    "legacy_cookies",
    "php",
    "serializers.json_faults",
    "serializers.tagged_json",
    "stores.encrypted",
    "stores.handlersocket",
    "stores.migrating",
    "stores.mongo",
    "stores.mysql",
    "stores.postgresql",
    "stores.redis",
    "stores.sqlite",
    "stores.url",
    "testing",
    "typed",
)

OF_OTHERS = "heapq, logging, secrets"
"""Modules of Python that the import loads as well, with what these load."""


def run(code: str) -> Any:
    """Run code in a new process. Return what it prints as JSON."""
    command = [sys.executable, "-c", f"import json, sys\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules that the import loads where Starlette's own sessions are there already."""
    return set(
        run(
            f"import starlette.middleware.sessions, {OF_OTHERS}\n"
            "before = set(sys.modules)\n"
            f"import {NAME}\n"
            "print(json.dumps(sorted(set(sys.modules) - before)))"
        )
    )


def test_the_import_loads_no_store_but_memory_and_nothing_that_is_seldom_needed(loaded: set[str]) -> None:
    late = tuple(f"{NAME}.{module}" for module in AT_FIRST_USE)
    assert [name for name in loaded if name in late or name.startswith(tuple(f"{module}." for module in late))] == []
    assert f"{NAME}.stores.memory" in loaded


def test_the_modules_that_load_late_exist() -> None:
    for module in AT_FIRST_USE:
        place = ROOT / NAME / module.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").exists(), module


def test_the_import_loads_nothing_else(loaded: set[str]) -> None:
    assert {name for name in loaded if name.partition(".")[0] != NAME} == set()


def test_every_name_is_listed_before_it_is_loaded() -> None:
    names, is_loaded = run(
        f"import {NAME} as package\nnames = dir(package)\nprint(json.dumps([names, 'SQLiteStore' in vars(package)]))"
    )
    assert not is_loaded
    assert set(package.__all__) <= set(names)
    assert names == sorted(names)
    assert "DatabaseStore" in dir(mysql)
    assert "PostgreSQLStore" in dir(postgresql)


def test_a_star_import_takes_every_public_name() -> None:
    names = run(f"scope = {{}}\nexec('from {NAME} import *', scope)\nprint(json.dumps(sorted(scope)))")
    assert set(package.__all__) <= set(names)


def test_a_name_is_found_once() -> None:
    found = run(
        f"import {NAME} as package\n"
        "store = package.SQLiteStore\n"
        "print(json.dumps([vars(package)['SQLiteStore'] is store, store.__module__]))"
    )
    assert found == [True, f"{NAME}.stores.sqlite.store"]


@pytest.mark.slow
def test_the_import_is_measured_after_starlettes(tmp_path: Path) -> None:
    findings = imports.measure(True, tmp_path)
    [table] = findings.tables
    assert [row[1] for row in table.rows] == ["starlette.middleware.sessions", NAME]
    assert any(tmp_path.rglob("middleware.*.pyc"))
    assert [target.most for target in findings.targets] == [15]
