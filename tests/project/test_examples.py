"""The quickstart counts visits."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ..support.pages import ROOT


def test_the_quickstart_counts_and_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    from examples import quickstart

    with TestClient(quickstart.app) as client:
        assert [client.get("/").json() for _ in range(3)] == [{"visits": 1}, {"visits": 2}, {"visits": 3}]
    with TestClient(quickstart.app) as stranger:
        assert stranger.get("/").json() == {"visits": 1}
    assert len((ROOT / "examples" / "quickstart.py").read_text().splitlines()) < 25
