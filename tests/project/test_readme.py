"""The README and docs/stores.md tell the truth: their code runs, their tables of options are those of the code."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

import starlette_sessions_ext
from starlette_sessions_ext import MemoryStore, SessionMiddleware, cli
from starlette_sessions_ext._core.sign_in_details import describe

from ..support import pages

README = (pages.ROOT / "README.md").read_text()
SECTIONS = pages.sections(README)
STORES = pages.sections((pages.DOCS / "stores.md").read_text())


def run(section: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute the Python of a section of the README."""
    return pages.execute(SECTIONS[section], folder, monkeypatch)


def test_the_quickstart_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("Quickstart", tmp_path, monkeypatch)
    with TestClient(names["app"]) as client:
        assert [client.get("/").json()["visits"] for _ in range(3)] == [1, 2, 3]


def test_the_changed_import_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("Coming from Starlette's SessionMiddleware", tmp_path, monkeypatch)
    assert names["SessionMiddleware"] is SessionMiddleware


def test_the_handlers_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("In a handler", tmp_path, monkeypatch)
    handlers = ("sign_in", "add_to_cart", "visit", "sign_out")
    app = Starlette(routes=[Route(f"/{name}", names[name]) for name in handlers])
    app.add_middleware(SessionMiddleware, secret_key="x" * 16, store=MemoryStore())
    with TestClient(app) as client:
        assert client.get("/add_to_cart").json() == {"cart": ["tea"]}
        old = client.cookies["session"]
        assert "Max-Age=2592000" in client.get("/sign_in").headers["set-cookie"]
        assert client.cookies["session"] != old
        assert [client.get("/visit").json() for _ in range(2)] == [1, 2]
        assert client.get("/add_to_cart").json() == {"cart": ["tea", "tea"], "user": "ann", "visits": 2}
        client.get("/sign_out")
        assert "session" not in client.cookies


def test_the_stores_can_be_made_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("Choosing a store", tmp_path, monkeypatch)
    assert {"on_one_machine", "on_a_cluster", "in_mysql", "in_postgresql", "from_settings"} <= names.keys()


def assert_told(table: str, parameters: Sequence[inspect.Parameter]) -> None:
    """Whether a table names the parameters in order, with their defaults."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", table, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [parameter.name for parameter in parameters]
    for (name, default), parameter in zip(rows, parameters, strict=True):
        if default == "required":
            assert parameter.default is inspect.Parameter.empty, name
        elif default == "`time.time`":
            assert parameter.default is time.time, name
        elif default == "browser and address":
            assert parameter.default is describe, name
        else:
            assert parameter.default == ast.literal_eval(default.strip("`")), name


def test_the_tables_of_options_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `\w+` \| .+$", (pages.DOCS / "options.md").read_text(), flags=re.MULTILINE)
    parameters = list(inspect.signature(SessionMiddleware).parameters.values())[1:]
    rows.sort(key=lambda row: [parameter.name for parameter in parameters].index(row.split("`")[1]))
    assert_told("\n".join(rows), parameters)


def test_the_options_in_the_readme_exist() -> None:
    [names] = [re.findall(r"^\| (`.+?`) \|", SECTIONS["Options"], flags=re.MULTILINE)]
    assert {name.strip("`") for cell in names for name in cell.split(", ")} <= set(
        inspect.signature(SessionMiddleware).parameters
    )


@pytest.mark.parametrize(
    "store", ["SQLiteStore", "RedisStore", "DatabaseStore", "PostgreSQLStore", "MongoStore", "MemoryStore"]
)
def test_the_settings_of_a_store_are_those_of_the_code(store: str) -> None:
    kind = getattr(starlette_sessions_ext, store)
    assert_told(STORES[store], list(inspect.signature(kind).parameters.values()))


def test_the_settings_of_handlersocket_are_those_of_the_code() -> None:
    page = (pages.DOCS / "handlersocket.md").read_text()
    assert_told(page, list(inspect.signature(starlette_sessions_ext.HandlerSocketStore).parameters.values()))


COMMANDS = {"migrate", "gc", "doctor", "show", "revoke", "list", "stats", "secret", "check"}


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        (SECTIONS["Command line"], COMMANDS),
        (STORES["In operation"] + STORES["DatabaseStore"], {"migrate", "gc", "doctor", "show", "revoke"}),
    ],
)
def test_the_command_lines_are_understood(text: str, commands: set[str]) -> None:
    named = set()
    for line in re.findall(r"^sessions-ext (.+)$", text, flags=re.MULTILINE):
        options = cli.make_parser().parse_args(shlex.split(line.partition(" > ")[0], comments=True))
        named.add(options.name)
    assert named == commands
