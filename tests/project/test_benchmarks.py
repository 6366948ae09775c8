"""What could be wrong in the benchmarks unnoticed: the rounds, the figures, applications that keep nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from benchmarks import apps
from benchmarks.report import Ratio, Table, Target, as_markdown, as_text, write
from benchmarks.schedule import Figure, Figures, Turn, turns

pytestmark = pytest.mark.slow


def test_every_row_has_a_turn_in_every_round_in_changing_order() -> None:
    taken = list(turns("abcdef", 5, "test"))
    rounds = [taken[start : start + 6] for start in range(0, len(taken), 6)]
    assert [sorted(turn.row for turn in one) for one in rounds] == [list("abcdef")] * 6
    assert len({tuple(turn.row for turn in one) for one in rounds}) > 1
    assert [{turn.counts for turn in one} for one in rounds] == [{False}, *[{True}] * 5]


def test_figures_are_medians_and_the_warm_up_is_none_of_them() -> None:
    figures = Figures[str]()
    for value, counts in ((1000, False), (1, True), (9, True), (2, True)):
        figures.add(Turn("a", counts), rate=value)
    figures.add(Turn("b", True), rate=4)
    assert figures.of("a", "rate") == Figure(2, 1, 9)
    assert figures.ratio("rate", "a", "b") == 0.5


def test_a_table_says_the_same_in_all_its_forms(tmp_path: Path) -> None:
    table = Table("name", "Title", ("group", "speed", "ratio"), "speed", ["a note"])
    table.rows.extend([("none", "", ""), ("one", Figure(1234.5, 1000, 2000), Ratio(1))])
    about = {"machine": "this", "command": "scripts/bench"}
    write(table, about, tmp_path)
    none, first = csv.DictReader((tmp_path / "name.csv").read_text().splitlines())
    assert first == {"group": "one", "speed": "1234.5", "speed, least": "1000", "speed, most": "2000", "ratio": "1.0"}
    assert none == {name: "none" if name == "group" else "" for name in first}
    content = json.loads((tmp_path / "name.json").read_text())
    assert content["about"] == about
    assert content["rows"][1]["speed, most"] == 2000
    for text in (as_text(table, about), as_markdown(table, about)):
        for told in ("Title", "1,234 (1,000..2,000)", "1.00x", "a note", "machine: this", "command: scripts/bench"):
            assert told in text


def test_a_target_is_reached_at_its_bound() -> None:
    assert Target("enough", 0.8, least=0.8).reached
    assert not Target("too little", 0.79, least=0.8).reached
    assert Target("little enough", 2, most=2).reached
    assert not Target("too much", 2.01, most=2).reached


@pytest.mark.parametrize("app", [apps.cookies, apps.ours])
def test_what_is_measured_keeps_sessions(app: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONS", url)
    with TestClient(app()) as client:
        answers = [client.get(path).text for path in ("/begin", "/write", "/read", "/write", "/read")]
        assert answers == ["0", "1", "1", "2", "2"]
        client.cookies.clear()
        assert client.get("/read").text == "0"
