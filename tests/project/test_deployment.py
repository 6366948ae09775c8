"""docs/deploy.md with real programs: application servers, nginx in front of them, systemd's checks, the Dockerfile."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect

from starlette_sessions_ext import SQLiteStore
from starlette_sessions_ext._core.ids import key_of, new_id

from ..support import pages
from ..support.nginx_server import Nginx
from ..support.servers import Server, answers, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TEXT = (pages.DOCS / "deploy.md").read_text()
DEPLOY = pages.sections(TEXT)
[CODE] = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
PROGRAMS = Path(sys.executable).parent
SERVER, CLIENT, PROXY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""Three addresses of this machine: no server trusts the proxy's unless its command says so."""

APPLICATION = """
from fastapi import Request, WebSocket

app = create_app()


@app.get("/")
async def count(request: Request) -> dict[str, object]:
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    return {"visits": visits, "pid": os.getpid(), "scheme": request.url.scheme, "host": request.url.hostname,
            "client": request.client.host}


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.url.scheme)
    await websocket.close()
"""


def rows(section: str) -> dict[str, str]:
    """Return the second column of a section's first table, by the first."""
    table = re.findall(r"^\| ([^|]+) \| ([^|]+?) \|", DEPLOY[section], flags=re.MULTILINE)
    return dict(table[1:])


SERVERS = {name.split()[0]: re.findall(r"`(.+?)`", cell)[0] for name, cell in rows("Workers and threads").items()}
SERVERS["gunicorn with uvicorn's worker"] = SERVERS["gunicorn"].replace("asgi", "uvicorn.workers.UvicornWorker")
TRUST = rows("Proxies and https")


class ApplicationServer(Server):
    """A command of the page, with the port to listen on added."""

    def __init__(
        self,
        folder: Path,
        command: str,
        code: str = "",
        programs: Path = PROGRAMS,
        path: Sequence[Path] = (pages.ROOT,),
    ) -> None:
        super().__init__(folder)
        folder.mkdir(exist_ok=True)
        (folder / "main.py").write_text(CODE + APPLICATION + code)
        self._command, self._programs = shlex.split(command), programs
        self.environment = {
            "SECRET_KEY": "x" * 32,
            "SESSIONS_URL": "sqlite:///sessions.db",
            "PYTHONPATH": os.pathsep.join(map(str, [folder, *path])),
        }

    def command(self) -> list[str]:
        program, *arguments = self._command
        where = {
            "uvicorn": ["--port", str(self.port)],
            "granian": ["--port", str(self.port)],
            "gunicorn": ["--bind", f"{SERVER}:{self.port}"],
            "hypercorn": ["--bind", f"{SERVER}:{self.port}"],
        }
        return [str(self._programs / program), *arguments, *where[program]]

    def answers(self) -> bool:
        """Whether it listens. granian's workers hang on a SIGTERM that comes before all of them have started."""
        has_started = "granian" not in self._command or self._log.read_text().count("Started worker-") == 4
        return answers(self.port) and has_started

    def stop(self) -> None:
        """SIGTERM, as a process manager sends it: the workers end with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
        super().stop()


class Browser:
    """A client with an address and a cookie. It sends each request over a new connection, as many workers like it."""

    def __init__(self, port: int, *, https: bool) -> None:
        self._connection = http.client.HTTPConnection(SERVER, port, timeout=60, source_address=(CLIENT, 0))
        if https:
            tls = ssl._create_unverified_context()
            self._connection = http.client.HTTPSConnection(
                SERVER, port, timeout=60, source_address=(CLIENT, 0), context=tls
            )
        self._cookie = ""

    def get(self) -> dict[str, Any]:
        with closing(self._connection):
            self._connection.request("GET", "/", headers={"Host": "shop.example.com", "Cookie": self._cookie})
            response = self._connection.getresponse()
            self._cookie = (response.headers["set-cookie"] or self._cookie).partition(";")[0]
            answer: dict[str, Any] = json.loads(response.read())
            return answer


@pytest.mark.parametrize("server", SERVERS)
def test_the_workers_of_a_server_share_the_sessions(server: str, tmp_path: Path) -> None:
    with running(ApplicationServer(tmp_path, SERVERS[server])) as [app]:
        browser, pids = Browser(app.port, https=False), set[int]()
        deadline, visits = time.monotonic() + 100, 0
        while len(pids) < 2:  # another worker takes over sooner or later
            assert time.monotonic() < deadline
            answer, visits = browser.get(), visits + 1
            assert answer["visits"] == visits
            pids.add(answer["pid"])


@pytest.fixture
def behind_nginx(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of nginx with the settings of the page, in front of a server that trusts it as the page says."""
    name, trust = request.param
    command, code = SERVERS[name], ""
    if trust.startswith("`-"):
        command += " " + trust.strip("`").replace("10.0.0.5", PROXY)
    elif trust:
        [call] = re.findall(r"`(.+?)`", trust)
        module = call.partition("(")[0].rpartition(".")[0]
        code = f"import {module}\napp = {call.replace('10.0.0.5', PROXY)}\n"
    [location] = re.findall(r"^```nginx\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    with running(ApplicationServer(tmp_path, command, code=code)) as [app]:
        settings = location.replace("127.0.0.1:8000", f"{SERVER}:{app.port}")
        with running(Nginx(tmp_path, f"proxy_bind {PROXY};\n{settings}")) as [nginx]:
            yield nginx.port


@pytest.mark.parametrize("behind_nginx", TRUST.items(), ids=TRUST, indirect=True)
def test_a_trusted_proxy_says_who_asks_and_how(behind_nginx: int) -> None:
    browser = Browser(behind_nginx, https=True)
    for visits in (1, 2):
        answer = browser.get()
        seen = {name: answer[name] for name in ("visits", "scheme", "host", "client")}
        assert seen == {"visits": visits, "scheme": "https", "host": "shop.example.com", "client": CLIENT}


@pytest.mark.parametrize("behind_nginx", [(name, "") for name in SERVERS if " " not in name], indirect=True)
def test_a_proxy_that_isnt_trusted_says_nothing(behind_nginx: int) -> None:
    answer = Browser(behind_nginx, https=True).get()
    assert (answer["scheme"], answer["client"]) == ("http", PROXY)


@pytest.mark.parametrize("behind_nginx", [("uvicorn", TRUST["uvicorn"])], ids=["uvicorn"], indirect=True)
def test_websockets_pass_nginx(behind_nginx: int) -> None:
    async def scheme() -> str | bytes:
        async with connect(f"wss://{SERVER}:{behind_nginx}/socket", ssl=ssl._create_unverified_context()) as socket:
            return await socket.recv()

    assert anyio.run(scheme) == "wss"


UNITS = dict(re.findall(r"^```ini\n# /etc/systemd/system/(\S+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL))


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = PROGRAMS / "sessions-ext"
    for name, unit in UNITS.items():
        (tmp_path / name).write_text(unit.replace("/srv/shop/venv/bin/sessions-ext", str(program)))
    paths = [str(tmp_path / name) for name in UNITS]
    assert sorted(UNITS) == ["sessions-gc.service", "sessions-gc.timer"]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, [])
    [calendar] = re.findall(r"^OnCalendar=(.+)$", UNITS["sessions-gc.timer"], flags=re.MULTILINE)
    subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


def test_the_service_collects_what_has_expired(tmp_path: Path) -> None:
    async def fill() -> None:
        async with SQLiteStore(tmp_path / "sessions.db", clock=lambda: 1000.0) as store:
            assert await store.create(key_of(new_id()), b"old", 1001)

    anyio.run(fill)
    [command] = re.findall(r"^ExecStart=/srv/shop/venv/bin/(.+)$", UNITS["sessions-gc.service"], flags=re.MULTILINE)
    program, *arguments = shlex.split(command)
    environment = {**os.environ, "SESSIONS_URL": f"sqlite:///{tmp_path}/sessions.db"}
    done = [str(PROGRAMS / program), *arguments]
    subprocess.run(done, check=True, env=environment, cwd=pages.ROOT)
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as db:
        assert db.execute("SELECT count(*) FROM starlette_sessions").fetchone() == (0,)


def test_the_dockerfile_makes_a_server(tmp_path: Path) -> None:
    context, image, python = tmp_path / "context", tmp_path / "image", tmp_path / "python"
    image.mkdir()
    ApplicationServer(context, "uvicorn")  # writes main.py
    (context / "requirements.txt").write_text("fastapi\nuvicorn\n")
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(context / "dist"), str(pages.ROOT)]
    subprocess.run(wheel, check=True)
    subprocess.run([sys.executable, "-m", "venv", python], check=True)
    [dockerfile] = re.findall(r"^```dockerfile\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    command = carry_out(dockerfile, context, image, python / "bin")
    with running(ApplicationServer(image, shlex.join(command), programs=python / "bin", path=[])) as [app]:
        browser = Browser(app.port, https=False)
        assert [browser.get()["visits"] for _ in range(2)] == [1, 2]


def carry_out(dockerfile: str, context: Path, image: Path, programs: Path) -> list[str]:
    """Do in a folder what an engine does in an image. Return the words of CMD."""
    environment = {**os.environ, "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]), "PYTHONPATH": ""}
    lines = dict[str, list[str]]()
    for word, rest in (line.split(" ", 1) for line in dockerfile.splitlines()):
        lines.setdefault(word, []).append(rest)
        if word == "COPY":
            *patterns, _ = rest.split()
            for source in (found for pattern in patterns for found in context.glob(pattern)):
                shutil.copy(source, image)
        elif word == "RUN":
            subprocess.run(["sh", "-c", rest], check=True, cwd=image, env=environment)
    assert set(lines) == {"FROM", "WORKDIR", "COPY", "RUN", "USER", "CMD"}
    [command] = lines["CMD"]
    words: list[str] = json.loads(command)
    return words
