"""Statistics, JSON of the doctor, secrets and the version, on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anyio
import pytest

import starlette_sessions_ext
from starlette_sessions_ext import EncryptedStore, MemoryStore, SupportsOwners, store_from_url
from starlette_sessions_ext._core.ids import key_of, new_id, new_nonce
from starlette_sessions_ext._core.owner import owner_of
from starlette_sessions_ext._core.record import Alias, Header
from starlette_sessions_ext.cli import main, statistics
from starlette_sessions_ext.cli.statistics import Statistics
from starlette_sessions_ext.stores.base import SupportsListing
from starlette_sessions_ext.testing import FakeClock

from ..support.store_wrappers import CountingStore
from ..support.terminal import terminal


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """A command may block its event loop, which nobody else uses: drivers are imported there."""


def fill(url: str, live: int, expired: int, renewed: int, foreign: int) -> list[int]:
    """Make rows of each kind, live ones by turns of two users and of nobody. Returns the sizes of live ones."""
    sizes: list[int] = []

    async def run() -> None:
        async with store_from_url(url) as store:
            assert isinstance(store, SupportsOwners)
            assert isinstance(store, SupportsListing)
            async for key in store.all_keys():  # those of other tests
                await store.delete(key)
            for number in range(live + expired):
                key = key_of(new_id())
                data = Header(key, 1, 1, None, "0" * 16).encode(new_nonce(), b"x" * number)
                user = (None, "ann", "bob")[number % 3]
                await store.create(
                    key, data, 2_000_000_000 if number < live else 1, None if user is None else owner_of(user)
                )
                sizes.append(len(data))
            for _ in range(renewed):
                key = key_of(new_id())
                alias = Alias(key, 0, new_nonce(), key_of(new_id()))
                await store.create(key, alias.encode(), 2_000_000_000)
            for _ in range(foreign):
                await store.create(key_of(new_id()), b"foreign", 2_000_000_000)

    anyio.run(run)
    return sizes[:live]


def test_rows_are_counted_and_measured(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = fill(url, live=60, expired=5, renewed=3, foreign=2)
    assert main(["stats", "--json", url]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("expired") in (0, 5)  # a server that collects has removed them
    assert found.pop("rows") in (65, 70)
    assert found == {
        "complete": True,
        "live": 60,
        "renewed": 3,
        "unreadable": 2,
        "users": 2,
        "bytes": {"p50": sizes[29], "p90": sizes[53], "p99": sizes[59], "p100": sizes[59]},
    }


def test_statistics_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    sizes = fill(url, live=3, expired=1, renewed=0, foreign=0)
    assert main(["stats", url]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["rows", "4"],
        ["live", "3"],
        ["expired", "1"],
        ["renewed", "0"],
        ["unreadable", "0"],
        ["users", "2"],
        ["bytes", "p50", str(sizes[1])],
        *(["bytes", name, str(sizes[2])] for name in ("p90", "p99", "p100")),
    ]


def test_an_empty_store_has_no_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    fill(url, 0, 0, 0, 0)
    assert main(["stats", url]) == 0
    assert "bytes" not in capsys.readouterr().out


@pytest.mark.parametrize("limit", [1, 49, 50, 51, 119, 120, 121])
def test_no_more_rows_than_the_limit_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    fill(url, live=120, expired=0, renewed=0, foreign=0)
    looked_at: list[str] = []
    look_at = statistics._look_at

    async def count(store: object, found: Statistics, key: str) -> None:
        looked_at.append(key)
        await look_at(store, found, key)  # type: ignore[arg-type]

    monkeypatch.setattr(statistics, "_look_at", count)
    assert main(["stats", "--limit", str(limit), "--json", url]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["complete"]) == (min(limit, 120), limit >= 120)
    assert len(looked_at) == min(limit, 120)
    assert main(["stats", "--limit", str(limit), url]) == 0
    assert ("there are more rows than these" in capsys.readouterr().out) == (limit < 120)


def test_progress_is_shown_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    fill(url, live=120, expired=0, renewed=0, foreign=0)
    with terminal(monkeypatch) as read:
        assert main(["stats", url]) == 0
        shown = read()
    assert shown == "\r50 rows looked at\x1b[K\r100 rows looked at\x1b[K\r\x1b[K"


def test_nothing_is_shown_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    fill(url, live=120, expired=0, renewed=0, foreign=0)
    assert main(["stats", url]) == 0
    assert capsys.readouterr().err == ""


def test_a_store_that_lists_nothing_has_no_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "memory://"]) == 1
    assert "can't go through its sessions" in capsys.readouterr().err


@pytest.mark.anyio
async def test_users_are_left_out_where_a_store_knows_none(clock: FakeClock) -> None:
    class Listing(CountingStore):
        async def all_keys(self):  # type: ignore[no-untyped-def]
            for key in self.store._rows:  # type: ignore[attr-defined]
                yield key

    store, key = Listing(MemoryStore(clock=clock)), key_of(new_id())
    await store.create(key, Header(key, 1, 1, None, "0" * 16).encode(new_nonce(), b"{}"), int(clock()) + 60)
    found = await statistics.gather(store, 10)
    assert (found.live, found.as_dict()["users"]) == (1, None)


def test_doctor_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sessions.db"
    fill(f"sqlite:///{path}", 0, 0, 0, 0)
    assert main(["doctor", "--json", f"sqlite:///{path}"]) == 0
    assert capsys.readouterr().out == "[]\n"
    path.chmod(0o644)
    assert main(["doctor", "--json", f"sqlite:///{path}"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"problem": f"{path} can be read by other users", "remedy": f"chmod 600 {path}"}
    ]


def test_secrets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SESSIONS_URL", raising=False)
    assert [main(["secret"]), main(["secret"]), main(["secret", "--encryption-key"])] == [0, 0, 0]
    first, second, key = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert first != second
    EncryptedStore(MemoryStore(), keys=[key])


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"sessions-ext {starlette_sessions_ext.__version__}\n"
