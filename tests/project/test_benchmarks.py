"""What could be wrong in the benchmarks unnoticed: the rounds, the figures, applications that keep nothing."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from benchmarks import apps, bytecodes, instructions, pages, processor, site
from benchmarks.asked import request_of
from benchmarks.callgrind import total_of
from benchmarks.environment import ROOT
from benchmarks.report import Ratio, Table, Target, as_markdown, as_text, write
from benchmarks.schedule import Figure, Figures, Turn, turns
from benchmarks.transport import body_of, connected, cookie_of, request_for
from tests.support.servers import Server, die_with_parent, running

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
        for part in ("Title", "1,234 (1,000..2,000)", "1.00x", "a note", "machine: this", "command: scripts/bench"):
            assert part in text


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


@pytest.mark.parametrize("app", [apps.cookies, apps.ours])
def test_requests_without_a_socket_reach_the_session_or_none(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONS", "memory://")
    with connected(app()) as connection:
        cookie = connection.begin_session()
        responses = {kind: connection.ask(request_of(kind, cookie)) for kind in instructions.MOST}
        assert {kind: body_of(response) for kind, response in responses.items()} == {
            "read": b"1",
            "write": b"2",
            "anonymous": b"0",
            "forged": b"0",
        }
        assert not any(cookie_of(responses[kind]) for kind in ("anonymous", "forged"))


def test_an_application_without_sessions_gives_no_cookie() -> None:
    with connected(apps.bare()) as connection:
        assert connection.begin_session() == b""


def test_a_request_without_a_socket_has_to_succeed() -> None:
    with connected(apps.bare()) as connection, pytest.raises(RuntimeError, match="404"):
        body_of(connection.ask(request_for("/nowhere")))


async def _forget(request: Any) -> PlainTextResponse:
    return PlainTextResponse("0", headers={"set-cookie": "session=nothing"})


def test_a_session_that_is_not_kept_is_not_measured() -> None:
    app = Starlette(routes=[Route(path, _forget) for path in ("/begin", "/read", "/write")])
    with connected(app) as connection, pytest.raises(RuntimeError, match="isn't kept: /write"):
        connection.begin_session()


def test_the_measured_process_stops_around_the_requests_of_each_kind() -> None:
    command = [sys.executable, "-m", "benchmarks.asked", "ours", "read", "forged"]
    environment = {**os.environ, "SESSIONS": "memory://"}
    run = subprocess.run(
        command, input="\n" * 4, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == ["read", "read", "forged", "forged"]


def test_the_instructions_of_a_dump_are_its_total() -> None:
    dump = "desc: Trigger: dump\nsummary: 51\n\nfn=(1) totals\n12 7\n\ntotals: 5123539\n"
    assert total_of(dump) == 5123539
    for empty in ("totals: 0\n", "summary: 12\n", ""):
        with pytest.raises(RuntimeError, match="no instructions"):
            total_of(empty)


def test_added_instructions_are_those_above_bare_starlette() -> None:
    counts = {
        "bare": dict.fromkeys(instructions.MOST, 1000.0),
        "cookies": dict.fromkeys(instructions.MOST, 201000.0),
        "ours": {kind: 1000.0 + most + (kind == "write") for kind, most in instructions.MOST.items()},
    }
    found = instructions.report(counts)
    assert {target.aim.partition(",")[0]: target.reached for target in found.targets} == {
        "read": True,
        "write": False,
        "anonymous": True,
        "forged": True,
    }
    [table] = found.tables
    assert table.rows[2] == ("read", "ours, memory", *[Figure(n, n, n) for n in (76000, 75000)], Ratio(0.375))


def test_bytecodes_are_the_same_in_every_run(tmp_path: Path) -> None:
    first, second = (bytecodes.measure(True, tmp_path) for _ in range(2))
    assert list(first.targets) == list(second.targets)
    assert [target.most for target in first.targets] == [650, 800, 1150, 330, 490]


def test_a_page_gets_the_tables_of_a_run_and_keeps_the_others(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("| new |\n")
    page = "a\n<!-- bench: one -->\nold\n<!-- /bench -->\nb\n<!-- bench: two -->\nkept\n<!-- /bench -->\n"
    filled = pages.fill(page, tmp_path, {"one"})
    assert filled == page.replace("\nold\n", "\n\n| new |\n\n")
    assert pages.fill(filled, tmp_path, {"one"}) == filled


def test_the_blocks_of_the_pages_name_tables_that_are_made() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    made = set(re.findall(r'(?:Table|_table)\(\s*"([\w-]+)"', sources)) | {"stores-asyncio", "stores-uvloop"}
    texts = [page.read_text() for page in pages.pages()]
    blocks = [match for text in texts for match in pages.BLOCK.finditer(text)]
    assert {match[1] for match in blocks} <= made
    assert len(blocks) == sum(text.count("<!-- bench: ") for text in texts) > 8
    for block in blocks:
        assert re.search(r"^machine: .+\nversions: .+\ncommand: scripts/bench", block[0], re.MULTILINE), block[1]


def test_the_readme_shows_the_rows_of_the_page() -> None:
    shown = [
        match[0]
        for page in (ROOT / "README.md", ROOT / "docs" / "performance.md")
        for match in pages.BLOCK.finditer(page.read_text())
        if match[1] == "summary"
    ]
    assert len(shown) == 2
    assert shown[0] == shown[1]


def test_processor_time_is_that_of_a_server_and_its_children(tmp_path: Path) -> None:
    class Worker(Server):
        def command(self) -> list[str]:
            busy = "while True: pass"
            code = f"import subprocess, sys; subprocess.run([*{die_with_parent()!r}, sys.executable, '-c', {busy!r}])"
            return [sys.executable, "-c", code]

        def answers(self) -> bool:
            return processor.processor_seconds(self) > 0.3  # more than the parent uses: the child works

    with running(Worker(tmp_path)):
        pass


def test_the_example_of_a_site_follows_from_the_costs() -> None:
    cost = site.Cost(1000, here=20, there=10)
    table = site.example(dict.fromkeys(("Redis", "PostgreSQL", "Database", "HandlerSocket"), cost))
    needs = {(row[0], row[1]): row[2] for row in table.rows}
    assert needs["a Redis Cluster", "memory"] == "10.0 GB"
    assert needs["a Redis Cluster", "memory with a replica"] == "20.0 GB"
    assert needs["a Redis Cluster", "primaries"] == "2"
    assert needs["a Redis Cluster", "processors for store calls in the workers"] == "4"
    assert needs["one server, PostgreSQL", "reaches"] == "400,000 requests/s"
    assert site.mixed(10, 50) == 15
