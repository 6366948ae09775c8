"""The command line, on real stores."""

from __future__ import annotations

import re
import runpy
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from starlette_sessions_ext import SQLiteStore, store_from_url
from starlette_sessions_ext._core.ids import digest_of, key_of, new_id, new_nonce
from starlette_sessions_ext._core.record import Alias, Header
from starlette_sessions_ext.cli import main
from starlette_sessions_ext.testing import FakeClock

from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import MongoServer
from ..support.redis_server import RedisServer
from ..support.servers import free_port
from ..support.terminal import terminal


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """A command may block its event loop, which nobody else uses: drivers are imported there."""


def fill(url: str, count: int, expires_at: int, lifetime: int | None = None) -> list[str]:
    """Make sessions that end at `expires_at`; their keys."""
    keys = [key_of(new_id()) for _ in range(count)]

    async def fill() -> None:
        async with store_from_url(url) as store:
            for key in keys:
                header = Header(key, 1_700_000_000, 1_700_000_000, lifetime, "0" * 16)
                await store.create(key, header.encode(new_nonce(), b'{"secret":"canary"}'), expires_at)

    anyio.run(fill)
    return keys


def is_there(url: str, key: str) -> bool:
    async def load() -> bool:
        async with store_from_url(url) as store:
            return await store.load(key) is not None

    return anyio.run(load)


def test_show_of_an_old_id_names_the_digest_of_the_new_one(clock: FakeClock, tmp_path: Path, capsys: Any) -> None:
    url, old, new = f"sqlite:///{tmp_path / 'sessions.db'}", key_of(new_id()), key_of(new_id())

    async def renew() -> None:
        async with store_from_url(url) as store:
            await store.create(old, Alias(old, 0, new_nonce(), new).encode(), int(clock()) + 3600)

    anyio.run(renew)
    assert main(["show", digest_of(old), url]) == 0
    assert f"key digest {digest_of(new)}" in capsys.readouterr().out


def test_show_and_revoke_by_the_digest_of_the_key(
    url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = fill(url, 5, int(clock()) + 3600, lifetime=3600)
    digest = digest_of(keys[2])
    assert main(["show", digest, url]) == 0
    shown = capsys.readouterr().out
    assert "created  2023-11-14 22:13:20 UTC" in shown
    assert "lifetime 3600 seconds" in shown
    assert "canary" not in shown
    assert main(["revoke", digest, url]) == 0
    assert [is_there(url, key) for key in keys] == [True, True, False, True, True]
    assert main(["revoke", digest, url]) == 1
    assert "no session with that key digest" in capsys.readouterr().err


def test_a_key_is_no_digest(url: str, clock: FakeClock) -> None:
    [key] = fill(url, 1, int(clock()) + 3600)
    assert main(["revoke", key, url]) == 1
    assert is_there(url, key)


def test_gc_removes_what_has_expired(tmp_path: Path, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    [living] = fill(url, 1, int(clock()) + 3600)
    fill(url, 25, int(clock()) - 1)
    assert main(["gc", "--batch", "10", url]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [f"{count} expired sessions removed ..." for count in (10, 20, 25)]
    assert out == "25 expired sessions removed\n"
    assert is_there(url, living)


def test_gc_writes_one_line_over_and_over_on_a_terminal(
    tmp_path: Path, clock: FakeClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    fill(url, 25, int(clock()) - 1)
    with terminal(monkeypatch) as read:
        assert main(["gc", "--batch", "10", url]) == 0
        shown = read()
    assert re.sub(r"\d+ a second", "fast", shown).split("\r") == [
        "",
        *(f"{count} expired sessions removed, fast\x1b[K" for count in (10, 20, 25)),
        "\x1b[K",
    ]
    assert capsys.readouterr().out == "25 expired sessions removed\n"


def test_gc_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    fill(url, 0, 0)
    command = [sys.executable, "-m", "starlette_sessions_ext", "gc", "--every", "1", url]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell keeps it from what it starts with `&`
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert lines == ["0 expired sessions removed"] * 2
    assert process.returncode == 130


def test_gc_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    fill(f"sqlite:///{tmp_path / 'sessions.db'}", 0, 0)
    monkeypatch.setattr(anyio, "sleep", interrupted)
    assert main(["gc", "--every", "60", f"sqlite:///{tmp_path / 'sessions.db'}"]) == 130


def test_a_session_that_has_expired_but_is_still_there(
    tmp_path: Path, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    [key] = fill(url, 1, int(clock()) - 1)
    assert main(["show", digest_of(key), url]) == 0
    assert main(["revoke", digest_of(key), url]) == 0
    assert capsys.readouterr().out.splitlines() == ["it has expired", "it had expired"]


def test_a_row_that_is_no_session_is_shown_by_its_size(
    tmp_path: Path, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    key, path = key_of(new_id()), tmp_path / "sessions.db"

    async def write() -> None:
        async with SQLiteStore(path) as store:
            await store.create(key, b"canary", int(clock()) + 60)

    anyio.run(write)
    assert main(["show", digest_of(key), f"sqlite:///{path}"]) == 0
    out = capsys.readouterr().out
    assert "6 bytes" in out
    assert "canary" not in out


def test_python_dash_m(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["sessions-ext", "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("starlette_sessions_ext", run_name="__main__")
    assert stop.value.code == 0
    assert "doctor" in capsys.readouterr().out


def test_doctor_is_content_with_a_file_of_our_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sessions.db"
    fill(f"sqlite:///{path}", 1, 2_000_000_000)
    assert main(["doctor", f"sqlite:///{path}"]) == 0
    assert capsys.readouterr().out == "all is well\n"
    path.chmod(0o644)
    assert main(["doctor", f"sqlite:///{path}"]) == 1
    assert f"chmod 600 {path}" in capsys.readouterr().out


def test_doctor_on_redis(redis_server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", redis_server.url]) == 1
    out = capsys.readouterr().out
    assert "CONFIG SET appendonly yes" in out
    assert "noeviction" not in out


def test_doctor_on_mysql(mariadb: MariaDBServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", mariadb.url("fresh")]) == 1
    assert "SET GLOBAL innodb_flush_log_at_trx_commit = 1" in capsys.readouterr().out
    assert main(["doctor", mariadb.url("other")]) == 1
    assert "Make it: sessions-ext migrate mysql://" in capsys.readouterr().err


@pytest.mark.parametrize("index", ["session_data_expiry", "session_data_owner"])
def test_doctor_finds_a_missing_index(mariadb: MariaDBServer, capsys: pytest.CaptureFixture[str], index: str) -> None:
    mariadb.run("CREATE OR REPLACE DATABASE no_index; CREATE TABLE no_index.session_data LIKE fresh.session_data;")
    mariadb.run(f"ALTER TABLE session_data DROP KEY `{index}`", "no_index")
    mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    try:
        assert main(["doctor", mariadb.url("no_index")]) == 1
        remedy = capsys.readouterr().out.splitlines()[-1]
        assert "ADD KEY" in remedy
        mariadb.run(remedy, "no_index")
        assert main(["doctor", mariadb.url("no_index")]) == 0
    finally:
        mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2")


def test_the_rows_of_php_are_passed_over(
    mariadb: MariaDBServer, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    mariadb.run(
        "INSERT INTO session_data VALUES ('4qf1u9g9oi5gfh8e6tdbKJ-,', 'a|i:1;', 2000000000, NULL, 0, NULL)", "php"
    )
    [key] = fill(mariadb.url("php"), 1, int(clock()) + 3600)
    assert main(["show", digest_of("4qf1u9g9oi5gfh8e6tdbKJ-,"), mariadb.url("php")]) == 1
    assert main(["show", digest_of(key), mariadb.url("php")]) == 0


def test_doctor_on_mongo(mongo_server: MongoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", mongo_server.url]) == 1
    assert "rs.initiate()" in capsys.readouterr().out


def test_migrate(mariadb: MariaDBServer, capsys: pytest.CaptureFixture[str]) -> None:
    mariadb.run("CREATE DATABASE IF NOT EXISTS by_cli")
    url = mariadb.url("by_cli")
    assert main(["migrate", "--check", url]) == 1
    assert capsys.readouterr().out == "missing: 0001_create\nmissing: 0002_upgrade\nmissing: 0003_owner\n"
    assert main(["migrate", url]) == 0
    assert capsys.readouterr().out == "applied 0001_create\napplied 0002_upgrade\napplied 0003_owner\n"
    assert main(["migrate", "--check", url]) == 0
    assert main(["migrate", url]) == 0
    assert capsys.readouterr().out == "the tables are up to date\nthe tables are up to date already\n"
    assert main(["migrate", "--print", url]) == 0
    assert "CREATE TABLE" in capsys.readouterr().out


def test_migrations_of_postgresql_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--print", "postgres://localhost/app"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("-- 0001_create\n")
    assert "CREATE TABLE IF NOT EXISTS sessions (" in out


@pytest.mark.parametrize("command", [["doctor"], ["gc"], ["gc", "--every", "1"], ["show", "0123"], ["revoke", "0123"]])
@pytest.mark.parametrize("scheme", ["sqlite", "SQLite"])
@pytest.mark.parametrize("name", ["sesions.db", "missing/sessions.db", "empty.db", "other.db"])
def test_a_mistyped_path_is_an_error_and_nothing_is_made(
    tmp_path: Path, command: list[str], scheme: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.db").touch()
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE other (id)")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main([*command, f"{scheme}:///{tmp_path / name}"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert str(tmp_path / name.partition("/")[0]) in err
    assert "correct the path" in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["doctor", "nonsense://canary"], "sqlite:///sessions.db"),
        (["gc", f"redis://:canary@127.0.0.1:{free_port()}"], "refuses connections: start the server"),
        (["migrate", f"mysql://user:canary@127.0.0.1:{free_port()}/app"], "can't connect"),
        (["migrate", f"postgresql://user:canary@127.0.0.1:{free_port()}/app"], "can't connect"),
        (["show", "0123", "memory://"], "can't go through its sessions"),
    ],
)
def test_what_goes_wrong_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("sessions-ext: ")
    assert message in line
    assert "canary" not in line


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["gc"], ["gc", "--batch", "0", "memory://"], ["gc", "--every", "x", "memory://"]]
)
def test_wrong_words_are_explained(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SESSIONS_URL", raising=False)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: sessions-ext" in capsys.readouterr().err


def test_the_url_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    fill(url, 0, 0)
    monkeypatch.setenv("SESSIONS_URL", url)
    assert main(["gc"]) == 0


@pytest.mark.parametrize("command", ["migrate", "gc", "doctor", "show", "revoke"])
def test_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"example: sessions-ext {command} " in capsys.readouterr().out


def test_it_is_installed() -> None:
    done = subprocess.run([Path(sys.executable).parent / "sessions-ext", "--help"], capture_output=True, text=True)
    assert (done.returncode, "doctor" in done.stdout) == (0, True)
