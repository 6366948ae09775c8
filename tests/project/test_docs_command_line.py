"""The page on the command line has the help of each command, as the program prints it."""

from __future__ import annotations

import re

import pytest

from starlette_sessions_ext.cli import main, make_parser

from ..support.pages import DOCS, sections

PAGE = (DOCS / "command-line.md").read_text()
SECTIONS = sections(PAGE)
COMMANDS = re.findall(r"^    (\w+)  ", make_parser().format_help(), flags=re.MULTILINE)


def test_every_command_has_a_section() -> None:
    assert len(COMMANDS) == 9
    assert list(SECTIONS) == COMMANDS


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_page_has_its_help(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SESSIONS_URL", raising=False)
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    [shown] = re.findall(
        r"^```text\n(.*?)^```$", SECTIONS[command] if command else PAGE.partition("\n## ")[0], re.M | re.S
    )
    assert shown.split() == capsys.readouterr().out.split()  # Pythons differ in where they break lines
