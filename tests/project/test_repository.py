"""The files that a forge and git read: workflows, issue forms, dependabot, hooks. They name what is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ..support.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [GITHUB / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "feature.yml")]


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("dependabot", [GITHUB / "dependabot.yml"]),
    ],
)
def test_the_files_are_of_their_schemas(schema: str, files: list[Path]) -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    subprocess.run([program, "--builtin-schema", f"vendor.{schema}", *files], check=True)


def test_every_version_of_python_that_is_named_is_tested() -> None:
    versions = read(GITHUB / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
    assert set(named) <= set(versions)
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_the_scripts_that_workflows_and_hooks_call_exist() -> None:
    called = [path.read_text() for path in [*WORKFLOWS, ROOT / ".pre-commit-config.yaml"]]
    scripts = set(re.findall(r"\bscripts/[\w-]+", "".join(called)))
    assert {"scripts/check", "scripts/test", "scripts/docs", "scripts/fmt"} <= scripts
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)


def test_a_release_has_no_password() -> None:
    jobs = read(GITHUB / "workflows" / "release.yml")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert jobs["build"]["needs"] == "ci"
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text()


def test_links_to_the_repository_are_those_of_the_metadata() -> None:
    source, site = PROJECT["urls"]["Source"], PROJECT["urls"]["Documentation"]
    texts = {name: (ROOT / name).read_text() for name in ("mkdocs.yml", "pyproject.toml")}
    texts |= {path.name: path.read_text() for path in GITHUB.rglob("*.yml")}
    for name, text in texts.items():
        for link in re.findall(r"https://(?:[\w.-]+\.)?github\.(?:com|io)/[^\s\"')]*", text):
            assert link.startswith((source, site)), (name, link)


@pytest.mark.slow
def test_the_hooks_are_understood() -> None:
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config"], check=True, cwd=ROOT)
