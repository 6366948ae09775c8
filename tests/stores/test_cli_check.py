"""`sessions-ext check`: applications of several shapes, and what is doubtful about them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starlette_sessions_ext.cli import main

from ..support.mariadb_server import MariaDBServer
from ..support.servers import free_port

GOOD = """
from starlette.applications import Starlette
from starlette_sessions_ext import SessionMiddleware, SQLiteStore

app = Starlette()
app.add_middleware(
    SessionMiddleware, secret_key="0123456789abcdef" * 2, store=SQLiteStore({path!r}), user="user_id",
    session_cookie="__Host-session", absolute_timeout=86400, max_age=86400, max_sessions_per_user=5,
)

class Holder:
    inside = app

def make():
    return app
"""

EVERYWHERE = """
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Host, Mount, Route
from starlette_sessions_ext import SessionMiddleware, SQLiteStore, store_from_url

def sessions(name):
    return Middleware(SessionMiddleware, secret_key="0123456789abcdef" * 2, session_cookie=name, store=store)

store = SQLiteStore({path!r})
admin = FastAPI(middleware=[sessions("admin")])
inner = Starlette(middleware=[sessions("inner")])
shop = Starlette(routes=[Mount("/inner", app=inner)], middleware=[sessions("shop")])
app = FastAPI(middleware=[sessions("main")])
app.mount("/shop", shop)
app.mount("/admin", admin)
app.router.routes.append(Host("api.example.com", app=Starlette(middleware=[sessions("api")])))
"""


DAMAGED = """
from starlette_sessions_ext.stores.base import Finding

class Damaged(SQLiteStore):
    async def diagnose(self):
        return [Finding("the disk is damaged", "replace it")]
"""


PHP = """
from starlette_sessions_ext.php import PHPSettings
from starlette_sessions_ext.php.files import PHPFileStore
from starlette_sessions_ext.php.middleware import PHPSessionMiddleware

php = Starlette()
php.add_middleware(PHPSessionMiddleware, store=PHPFileStore({folder!r}), settings=PHPSettings(cookie_secure=True))
"""


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """A command may block its event loop, which nobody else uses."""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Writes a module of an application into the present folder, and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    written: list[str] = []

    def write(code: str) -> str:
        name = f"checked_application_{len(written)}"
        (tmp_path / f"{name}.py").write_text(code.replace("{path!r}", repr(str(tmp_path / "sessions.db"))))
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


Write = Callable[[str], str]


def one(options: str, before: str = "") -> str:
    """An application with one middleware."""
    return f"""
from starlette.applications import Starlette
from starlette_sessions_ext import *

{before}
app = Starlette()
app.add_middleware(SessionMiddleware, **{{"secret_key": "0123456789abcdef" * 2}} | {options})
"""


def test_an_application_without_faults(module: Write, capsys: pytest.CaptureFixture[str]) -> None:
    name = module(GOOD)
    assert main(["check", f"{name}:app"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert lines == [
        ["SessionMiddleware"],
        ["cookie", "__Host-session"],
        ["path", "/"],
        ["attributes", "httponly; samesite=lax; secure"],
        ["https_only", "True"],
        ["store", "SQLiteStore"],
        ["max_age", "86400"],
        ["idle_timeout", "86400"],
        ["absolute_timeout", "86400"],
        ["renew_after", "-"],
        ["serializer", "JSONSerializer"],
        ["on_conflict", "merge"],
        ["on_store_error", "unavailable"],
        ["user", "user_id"],
        ["max_sessions_per_user", "5"],
        ["all", "is well"],
    ]
    assert err == ""
    for arguments in ([f"{name}:Holder.inside"], [f"{name}:make", "--factory"], ["--factory", f"{name}:make"]):
        assert main(["check", *arguments]) == 0


def test_every_middleware_is_found(module: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", f"{module(EVERYWHERE)}:app"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(one["cookie"] for one in found["middleware"]) == ["admin", "api", "inner", "main", "shop"]
    assert found["problems"] == []
    assert {one["class"] for one in found["middleware"]} == {"SessionMiddleware"}


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (one('{"store": MemoryStore()}'), "sessions are kept in this process's memory"),
        (one("{}"), "sessions are kept in this process's memory"),
        (
            one('{"store": EncryptedStore(MemoryStore(), keys=[b"k" * 32])}'),
            "sessions are kept in this process's memory",
        ),
        (
            one('{"store": MigratingStore(SQLiteStore({path!r}), MemoryStore())}'),
            "sessions are kept in this process's memory",
        ),
        (one('{"store": SQLiteStore({path!r}), "secret_key": "short"}'), "secret_key is shorter than 16 bytes"),
        (
            one('{"store": SQLiteStore({path!r}), "secret_key": "change me: 32 random bytes"}'),
            "secret_key is a placeholder of the documentation",
        ),
        (one('{"store": SQLiteStore({path!r}), "max_age": 0}'), "max_age=0 ends every session at once"),
        (
            one('{"store": SQLiteStore({path!r}), "https_only": False}'),
            "the cookie session is sent over http without TLS as well",
        ),
        (
            one('{"store": EncryptedStore(SQLiteStore({path!r}), keys=[b"k" * 32], accept_plain=True)}'),
            "EncryptedStore reads rows that aren't encrypted",
        ),
        (
            one('{"store": store}', "store = SQLiteStore({path!r})")
            + "app.add_middleware(SessionMiddleware, secret_key='fedcba9876543210', store=store)\n",
            "two SessionMiddleware, one inside of the other, have the cookie session",
        ),
        (
            one('{"store": Damaged({path!r})}', DAMAGED),
            "the disk is damaged",
        ),
    ],
    ids=range(11),
)
def test_what_is_doubtful_is_said_once(
    module: Write, code: str, problem: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    name = module(code)
    assert main(["check", "--json", f"{name}:app"]) == 1
    [found] = json.loads(capsys.readouterr().out)["problems"]
    assert found["problem"].endswith(problem)
    assert found["remedy"]
    assert caplog.messages == []
    del sys.modules[name]
    assert main(["check", f"{name}:app"]) == 1
    assert f"{problem}\n    {found['remedy']}\n" in capsys.readouterr().out
    assert logging.getLogger("starlette_sessions_ext").propagate


def test_a_table_that_finds_no_users_is_noticed(
    module: Write, mariadb: MariaDBServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mariadb.run("CREATE OR REPLACE DATABASE ownerless; CREATE TABLE ownerless.session_data LIKE fresh.session_data;")
    mariadb.run("ALTER TABLE session_data DROP KEY session_data_owner, DROP COLUMN owner", "ownerless")
    code = one(f'{{"store": DatabaseStore({mariadb.url("ownerless")!r}), "user": "user"}}')
    assert main(["check", "--json", f"{module(code)}:app"]) == 1
    problems = [found["problem"] for found in json.loads(capsys.readouterr().out)["problems"]]
    assert any("owner" in problem for problem in problems)


def test_the_middleware_of_php(module: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = one("{}") + PHP.replace("{folder!r}", repr(str(tmp_path)))
    assert main(["check", f"{module(code)}:php"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [["PHPSessionMiddleware"], ["cookie", "PHPSESSID"]]
    assert ["store", "PHPFileStore"] in lines


def test_stores_that_wrap_others_are_named(module: Write, capsys: pytest.CaptureFixture[str]) -> None:
    store = 'EncryptedStore(MigratingStore(SQLiteStore({path!r}), SQLiteStore("old.db")), keys=[b"k" * 32])'
    code = one('{"store": store, "user": len}', f"store = {store}")
    assert main(["check", f"{module(code)}:app"]) == 0
    out = capsys.readouterr().out
    assert "EncryptedStore(MigratingStore(SQLiteStore, SQLiteStore))" in out
    assert ["user", "a", "function"] in [line.split() for line in out.splitlines()]


def test_a_store_that_cant_be_reached(module: Write, capsys: pytest.CaptureFixture[str]) -> None:
    code = one(f'{{"store": store_from_url("redis://:canary@127.0.0.1:{free_port()}")}}')
    assert main(["check", "--json", f"{module(code)}:app"]) == 1
    out = capsys.readouterr().out
    [found] = json.loads(out)["problems"]
    assert "refuses connections" in found["problem"]
    assert "canary" not in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("app", "module:attribute"),
        (":app", "module:attribute"),
        ("{}:", "module:attribute"),
        ("{}:shop", "there is no shop in checked_application_0"),
        ("{}:app.shop", "there is no app.shop in checked_application_0"),
        ("no_such_module_here:app", "No module named 'no_such_module_here'"),
        ("{}:empty", "there is no SessionMiddleware in this application"),
        ("{}:wrong", "max_age"),
    ],
)
def test_what_cant_be_checked_is_one_line(
    module: Write, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = GOOD + "empty = Starlette()\nwrong = Starlette()\n"
    code += "wrong.add_middleware(SessionMiddleware, secret_key='0123456789abcdef', max_age='a day')\n"
    assert main(["check", name.format(module(code))]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("sessions-ext: ")
    assert message in line


def test_an_error_of_the_application_is_raised(module: Write) -> None:
    with pytest.raises(ZeroDivisionError):
        main(["check", f"{module('1 / 0')}:app"])


def test_it_runs_as_a_program_in_the_present_folder(module: Write, tmp_path: Path) -> None:
    name = module(GOOD)
    command: list[Any] = [Path(sys.executable).parent / "sessions-ext", "check", f"{name}:app"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (0, "", "all is well")
