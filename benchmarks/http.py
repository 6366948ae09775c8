"""Requests a second, end to end: uvicorn with one worker on uvloop and httptools, asked by wrk over 32 connections.

Every application runs in the same environment, on the same servers. All are up for the whole
run, and wrk asks one at a time.
"""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.servers import Server, answers, running

from .environment import PEERS, ROOT
from .processor import processor_seconds
from .report import Findings, Ratio, Table, Target
from .schedule import Figures, turns
from .services import Services, running_services

SESSIONS = 100
CONNECTIONS = 32
BARE = "bare Starlette"
COOKIES = "Starlette's cookie sessions"
SDK = "fastapi-redis-sdk, Valkey"
"""It needs HEXPIRE, which the Redis of most distributions doesn't have yet."""
UNASKED = (BARE, COOKIES, "starsessions, Redis", "litestar, Redis", "ours, memory", "ours, Redis")
"""The applications for which requests without a session are measured as well: none of these asks its store then."""

SUMMARY = (
    BARE,
    COOKIES,
    "starsessions, Redis",
    "litestar, Redis",
    *(f"ours, {store}" for store in ("SQLite", "Redis", "PostgreSQL", "Database", "HandlerSocket", "Mongo")),
)
_LOAD = f"uvicorn, 1 worker, uvloop, httptools; wrk, 1 thread, {CONNECTIONS} connections, {SESSIONS} sessions in turn"


class Row(NamedTuple):
    """`kind` is what the requests do; all of them read but those that write."""

    kind: str
    app: str


class AppServer(Server):
    """uvicorn on a factory of `apps` or `peers`."""

    def __init__(self, folder: Path, factory: str, url: str, *options: str) -> None:
        super().__init__(folder)
        self.environment = {"SESSIONS": url}
        self._factory = factory
        self._options = options

    def command(self) -> list[str]:
        place = ["--app-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(self.port)]
        quick = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return [str(PEERS), "-m", "uvicorn", "--factory", f"benchmarks.{self._factory}", *place, *quick, *self._options]

    def answers(self) -> bool:
        return answers(self.port)

    def stop(self) -> None:
        """SIGTERM, so that what it has started ends with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        super().stop()


def measure(quick: bool, folder: Path) -> Findings:
    rounds, seconds = (1, 1) if quick else (3, 2)
    figures = Figures[Row]()
    with running_services(folder) as services, running_apps(services, folder) as apps:
        cookies = {name: begin_sessions(app.port) for name, app in apps.items() if name != BARE}
        cookies[BARE] = cookies["ours, memory"]  # which mean nothing to it
        rows = [Row(kind, app) for kind in ("read", "write") for app in apps]
        rows += [Row(kind, app) for kind in ("anonymous", "forged") for app in UNASKED]
        for turn in turns(rows, rounds, "http", warm_up=not quick):
            sent = _cookies_of(turn.row.kind, cookies[turn.row.app])
            path = "write" if turn.row.kind == "write" else "read"
            figures.add(turn, **_ask(apps[turn.row.app], path, sent, seconds, folder))
    return Findings([_summary(figures), _table(rows, figures)], _targets(figures))


@contextmanager
def running_apps(services: Services, folder: Path) -> Iterator[dict[str, AppServer]]:
    """All applications that are compared, by what the table calls them."""
    named = {
        BARE: ("apps:bare", ""),
        COOKIES: ("apps:cookies", ""),
        "starsessions, memory": ("peers:starsessions", "memory://"),
        "starsessions, Redis": ("peers:starsessions", f"{services.redis}/1"),
        "litestar, memory": ("peers:litestar", "memory://"),
        "litestar, Redis": ("peers:litestar", f"{services.redis}/2"),
        SDK: ("peers:fastapi_redis_sdk", f"{services.valkey}/1"),
        "ours, memory": ("apps:ours", "memory://"),
        "ours, SQLite": ("apps:ours", f"sqlite:///{folder / 'http.db'}"),
        "ours, Redis": ("apps:ours", f"{services.redis}/3"),
        "ours, Valkey": ("apps:ours_in_fastapi", f"{services.valkey}/3"),
        "ours, HandlerSocket": ("apps:ours", services.handlersocket),
        "ours, Database": ("apps:ours", services.database),
        "ours, PostgreSQL": ("apps:ours", services.postgresql),
        "ours, Mongo": ("apps:ours", services.mongo),
    }
    servers = {name: AppServer(folder, factory, url) for name, (factory, url) in named.items()}
    with running(*servers.values()):
        yield servers


def run_wrk(port: int, path: str, cookies: Sequence[str], seconds: int, folder: Path) -> dict[str, int]:
    """Ask for a path with these cookies in turn. What went wrong is counted as `failed`."""
    file = folder / "cookies"
    file.write_text("".join(f"{cookie}\n" for cookie in cookies))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", f"{ROOT}/benchmarks/wrk.lua"]
    place = f"http://127.0.0.1:{port}/{path}"
    output = subprocess.run([*command, place, "--", str(file)], capture_output=True, text=True, check=True).stdout
    load: dict[str, int] = json.loads(output.splitlines()[-1])
    return load


def begin_session(connection: http.client.HTTPConnection) -> str:
    """Begin a session, see that it is kept, and return its cookie."""
    cookie = ""
    for path, body in (("begin", "0"), ("write", "1"), ("read", "1")):
        connection.request("GET", f"/{path}", headers={"cookie": cookie} if cookie else {})
        response = connection.getresponse()
        if (answer := response.read().decode()) != body:
            raise RuntimeError(f"a session isn't kept: /{path} answered {answer!r} instead of {body!r}")
        cookie = (response.headers["set-cookie"] or cookie).partition(";")[0]
    return cookie


def _ask(app: AppServer, path: str, cookies: Sequence[str], seconds: int, folder: Path) -> dict[str, float]:
    before = processor_seconds(app)
    load = run_wrk(app.port, path, cookies, seconds, folder)
    used = processor_seconds(app) - before
    if load["failed"] or not load["requests"]:
        raise RuntimeError(f"of {load['requests']} requests {load['failed']} failed")
    return {
        "rate": load["requests"] / load["microseconds"] * 1e6,
        "p50": load["p50"] / 1000,
        "p99": load["p99"] / 1000,
        "cpu": used / load["requests"] * 1e6,
    }


def begin_sessions(port: int) -> list[str]:
    """Their cookies."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    cookies = [begin_session(connection) for _ in range(SESSIONS)]
    connection.close()
    return cookies


def _cookies_of(kind: str, cookies: Sequence[str]) -> Sequence[str]:
    """A forged cookie looks like a true one."""
    if kind == "forged":
        return [f"{cookie[:-6]}forged" for cookie in cookies]
    return () if kind == "anonymous" else cookies


def _summary(figures: Figures[Row]) -> Table:
    """Ten of the rows, which the documentation shows first."""
    head = ("application", "requests/s", "p99 ms", "CPU us", "to cookie sessions")
    table = Table("summary", "Requests that read their session", head, "requests/s", [_LOAD])
    for row in (Row("read", app) for app in SUMMARY):
        ratio = Ratio(figures.ratio("rate", row, Row("read", COOKIES)))
        table.rows.append((row.app, *(figures.of(row, name) for name in ("rate", "p99", "cpu")), ratio))
    return table


def _table(rows: Sequence[Row], figures: Figures[Row]) -> Table:
    head = ("requests", "application", "requests/s", "p50 ms", "p99 ms", "CPU us", "to bare", "to cookie sessions")
    notes = (
        _LOAD,
        "MariaDB (HandlerSocket, Database) and PostgreSQL sync every commit, MongoDB its journal",
        "Redis and Valkey keep nothing on disk",
        "the two applications on Valkey are FastAPI's, which fastapi-redis-sdk needs",
        "ratios are of requests/s; CPU us is what the worker's processor takes for a request",
    )
    table = Table("http", "End to end", head, "requests/s", notes)
    for row in rows:
        ratios = (Ratio(figures.ratio("rate", row, Row(row.kind, other))) for other in (BARE, COOKIES))
        table.rows.append((*row, *(figures.of(row, name) for name in ("rate", "p50", "p99", "cpu")), *ratios))
    return table


def _targets(figures: Figures[Row]) -> Iterator[Target]:
    def ratio(kind: str, app: str, other: str) -> float:
        return figures.ratio("rate", Row(kind, app), Row(kind, other))

    peer = "starsessions, Redis"
    yield Target("read, memory: 0.72x bare Starlette", ratio("read", "ours, memory", BARE), least=0.72)
    yield Target("read, memory: 1.35x cookie sessions", ratio("read", "ours, memory", COOKIES), least=1.35)
    yield Target("read, Redis: 1.0x cookie sessions", ratio("read", "ours, Redis", COOKIES), least=1.0)
    yield Target("read, Redis: 2.8x starsessions on Redis", ratio("read", "ours, Redis", peer), least=2.8)
    late = figures.of(Row("read", "ours, Redis"), "p99").median / figures.of(Row("read", peer), "p50").median
    yield Target("read, Redis: p99 at most 1x the p50 of starsessions", late, most=1)
    yield Target("write, Redis: 1.8x starsessions on Redis", ratio("write", "ours, Redis", peer), least=1.8)
    yield Target("write, Redis: 0.8x cookie sessions", ratio("write", "ours, Redis", COOKIES), least=0.8)
    for kind, least in (("read", 2.4), ("write", 2.2)):
        yield Target(f"{kind}, Valkey: {least}x fastapi-redis-sdk", ratio(kind, "ours, Valkey", SDK), least=least)
    yield Target(
        "read, HandlerSocket: 0.95x cookie sessions", ratio("read", "ours, HandlerSocket", COOKIES), least=0.95
    )
    database = ratio("read", "ours, PostgreSQL", "ours, Database")
    yield Target("read, PostgreSQL: 1.0x Database", database, least=1.0)
    yield Target("read, SQLite: 0.6x cookie sessions", ratio("read", "ours, SQLite", COOKIES), least=0.6)
    for kind, least in (("anonymous", 0.8), ("forged", 0.73)):
        for store in ("memory", "Redis"):
            yield Target(f"{kind}, {store}: {least}x bare Starlette", ratio(kind, f"ours, {store}", BARE), least=least)
