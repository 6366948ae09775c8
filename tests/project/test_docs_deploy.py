"""docs/deploy.md and docs/monitoring.md: the application starts as shown, and the commands and units are real."""

from __future__ import annotations

import re
import shlex

import pytest
from starlette.testclient import TestClient

from starlette_sessions_ext import EventKind, SessionEvent, cli

from ..support import pages
from ..support.pages import Run
from ..support.pages import run as run

DEPLOY = pages.sections((pages.DOCS / "deploy.md").read_text())
MONITORING = pages.sections((pages.DOCS / "monitoring.md").read_text())


def test_the_application_needs_its_two_variables(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    create_app = run("deploy.md")["create_app"]
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(KeyError):
        create_app()
    monkeypatch.setenv("SECRET_KEY", f"{'n' * 32},{'o' * 32}")
    monkeypatch.setenv("SESSIONS_URL", "sqlite:///sessions.db")
    app = create_app()
    with TestClient(app, base_url="https://testserver"):
        [middleware] = app.user_middleware
    assert middleware.kwargs["secret_key"] == ["n" * 32, "o" * 32]


def test_the_unit_runs_a_command_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    [command] = re.findall(r"^ExecStart=\S+/sessions-ext (.+)$", DEPLOY["A systemd timer for gc"], re.MULTILINE)
    monkeypatch.setenv("SESSIONS_URL", "sqlite:///sessions.db")
    options = cli.make_parser().parse_args(shlex.split(command))
    assert (options.name, options.url, options.every) == ("gc", "sqlite:///sessions.db", None)


@pytest.mark.parametrize(
    "command",
    re.findall(r"`sessions-ext ([^`]+)`", "".join([*DEPLOY.values(), *MONITORING.values()])),
)
def test_commands_in_the_text_are_understood(command: str) -> None:
    options = cli.make_parser().parse_args(shlex.split(command))
    assert getattr(options, "url", None) in ("URL", None)


def test_events_are_counted(run: Run) -> None:
    with TestClient(run("monitoring.md")["app"]) as client:
        client.get("/")
        client.get("/")
        assert client.get("/metrics").text == 'sessions_events_total{kind="created"} 1\n'


def test_alerts_name_events_that_exist() -> None:
    named = set(re.findall(r"`([a-z]+_[a-z]+)`", MONITORING["What to alert on"])) - {"evicted_keys"}
    assert named <= {kind.value for kind in EventKind}


def test_the_page_of_events_names_all() -> None:
    rows = re.findall(r"^\| `EventKind\.(\w+)` \| `(\w+)` \|", (pages.DOCS / "events.md").read_text(), re.MULTILINE)
    assert rows == [(kind.name, kind.value) for kind in EventKind]
    fields = re.findall(r"^\| `(\w+)` \| ", (pages.DOCS / "events.md").read_text(), re.MULTILINE)
    assert fields == list(SessionEvent.__dataclass_fields__)
