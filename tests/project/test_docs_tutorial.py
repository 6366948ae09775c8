"""The tutorials, as a reader follows them: each step's files into one folder, then a look at the application."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ..support import pages

FILES = ("main", "users", "account")
ANN = {"name": "ann", "password": "correct horse"}


def follow(page: str, folder: Path, until: str | None = None) -> None:
    """Write the files of a tutorial, up to the end of the step whose heading starts so."""
    for heading, text in pages.sections((pages.DOCS / page).read_text()).items():
        for title, code in re.findall(r'^```python title="(.+?)".*?\n(.*?)^```$', text, re.MULTILINE | re.DOTALL):
            name, _, place = title.partition(", ")
            path = folder / name
            before = path.read_text() + "\n\n" if place == "at the end" else ""
            after = path.read_text() if place == "at the top" else ""
            path.write_text(before + code + after)
        if until is not None and heading.startswith(until):
            return


@contextmanager
def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Start the application in the folder."""
    with monkeypatch.context() as patched:
        patched.chdir(folder)
        patched.syspath_prepend(folder)
        for name in FILES:
            patched.delitem(sys.modules, name, raising=False)
        app: Any = __import__("main").app
        with TestClient(app) as client:
            yield client
        for name in FILES:
            sys.modules.pop(name, None)


def test_one_the_number_rises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    follow("tutorial.md", tmp_path, "Step 1")
    with running(tmp_path, monkeypatch) as client:
        assert [client.get("/").json() for _ in range(2)] == [{"visits": 1}, {"visits": 2}]
    assert "sessions are kept in this process's memory" in caplog.text


def test_two_a_restart_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("tutorial.md", tmp_path, "Step 2")
    with running(tmp_path, monkeypatch) as client:
        client.get("/")
        cookies = client.cookies
    with running(tmp_path, monkeypatch) as client:
        client.cookies = cookies
        assert client.get("/").json() == {"visits": 2}


def test_three_the_cookie_changes_at_the_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("tutorial.md", tmp_path, "Step 3")
    with running(tmp_path, monkeypatch) as client:
        assert "Visit number 1" in client.get("/").text
        before = client.cookies["session"]
        assert client.post("/sign-in", data={"name": "bob", "password": "x"}).status_code == 403
        page = client.post("/sign-in", data=ANN).text
        assert "Visit number 2" in page
        assert "Hello ann" in page
        assert client.cookies["session"] != before
        assert "Hello" not in client.post("/sign-out").text


def test_four_private_pages_send_to_the_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("tutorial.md", tmp_path, "Step 4")
    with running(tmp_path, monkeypatch) as client:
        answer = client.get("/account/notes")
        assert (answer.status_code, answer.json()) == (401, {"detail": "sign_in_required"})
        page = client.get("/account/notes", headers={"Accept": "text/html"}, follow_redirects=False)
        assert (page.status_code, page.headers["location"]) == (303, "/")
        client.post("/sign-in", data=ANN)
        assert client.post("/account/notes", data={"text": "buy tea"}).json() == ["buy tea"]
        assert client.get("/nowhere").status_code == 404


def test_five_the_other_browser_is_signed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("tutorial.md", tmp_path, "Step 5")
    with running(tmp_path, monkeypatch) as client:
        other = TestClient(client.app, headers={"User-Agent": "the other"})
        for browser in (other, client):
            browser.post("/sign-in", data=ANN)
        assert {"browser": "the other", "this_one": False} in client.get("/account/devices").json()
        assert "/account/sign-out-others" in client.get("/openapi.json").json()["paths"]
        assert client.post("/account/sign-out-others").json() == {"signed_out": 1}
        assert other.get("/account/notes").status_code == 401


@pytest.mark.slow
@pytest.mark.parametrize(("page", "passed"), [("tutorial.md", 5), ("tutorial-starlette.md", 2)])
def test_the_last_step_ends_with_a_green_test_run(tmp_path: Path, page: str, passed: int) -> None:
    follow(page, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert f"{passed} passed" in done.stdout, done.stdout + done.stderr
    assert "warning" not in done.stdout
    assert not list(tmp_path.glob("*.db")), "tests leave nothing behind"


def test_starlette_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("tutorial-starlette.md", tmp_path)
    with running(tmp_path, monkeypatch) as client:
        assert client.post("/sign-in", data={**ANN, "password": "guessed"}).status_code == 403
        assert client.post("/sign-in", data=ANN).json() == {"visits": 1, "user": "42"}
        [device] = client.get("/devices").json()
        assert device["this_one"] is True
        client.post("/sign-out")
        assert client.get("/devices").status_code == 401


@pytest.mark.parametrize("page", sorted(path.name for path in pages.DOCS.glob("*.md")))
def test_python_with_a_title_is_where_a_test_writes_the_files(page: str) -> None:
    """tests/project/test_docs.py executes the other Python."""
    text = (pages.DOCS / page).read_text()
    assert page in ("tutorial.md", "tutorial-starlette.md", "store-contract.md") or not re.search(
        r"^ *```(python|py)\b(?!$)", text, flags=re.MULTILINE
    )


def test_the_table_of_extras_is_that_of_the_project() -> None:
    page = (pages.DOCS / "install.md").read_text()
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == set(project["optional-dependencies"])
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in page
    assert "starlette>=1.0" in project["dependencies"]
