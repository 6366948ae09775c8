"""compose.yaml without a container engine: its schema, the names in it, and its commands, run here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ..support import mongo_server, redis_server
from ..support.mariadb_server import MariaDBServer
from ..support.servers import Server, free_port, running

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_file_is_of_the_compose_schema() -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    subprocess.run([program, "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"], check=True)


@pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
def test_what_a_service_names_is_there(service: dict[str, Any]) -> None:
    for name, wanted in service.get("depends_on", {}).items():
        assert wanted["condition"] == "service_healthy"
        assert "healthcheck" in SERVICES[name]
    assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= COMPOSE["volumes"].keys()
    for words in (service["command"], service.get("healthcheck", {}).get("test", [])):
        for script in re.findall(r"scripts/[\w-]+", " ".join(words)):
            assert os.access(ROOT / script, os.X_OK)


def test_every_volume_is_somebodys() -> None:
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == COMPOSE["volumes"].keys()


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 6
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)


def test_the_image_is_made_of_what_is_there() -> None:
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, flags=re.MULTILINE) for name in line.split()]
    assert sorted(copied) == sorted(let_in)
    assert all((ROOT / name).exists() for name in copied)
    for script in re.findall(r"\bscripts/[\w-]+", DOCKERFILE):
        assert os.access(ROOT / script, os.X_OK)


class ComposeServer(Server):
    """The command of a service, run here: on free ports, and in a folder instead of /data."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(folder)
        self._name = name
        self._service = SERVICES[name]
        ports = self._ports = [self.port, free_port(), free_port()]
        names = ("port", "handlersocket-port", "handlersocket-port-wr")[: len(self._service["ports"])]
        self._places = [word for name, port in zip(names, ports, strict=False) for word in (f"--{name}", str(port))]
        settings: dict[str, str] = self._service.get("environment", {})
        defaults = {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value) for name, value in settings.items()}
        self.environment = {**defaults, "PATH": f"{folder}:{os.environ['PATH']}"}

    def command(self) -> list[str]:
        words = [re.sub(r"/data\b", str(self.folder), word).replace("$$", "$") for word in self._service["command"]]
        if self._name == "postgresql":
            return [str(ROOT / words[0]), *words[1:], f"--port={self.port}"]
        if words[0] == "sh":
            return [*words[:-1], " ".join([words[-1], *self._places])]
        return [str(ROOT / words[0]) if "/" in words[0] else words[0], *words[1:], *self._places]

    def answers(self) -> bool:
        kind, *words = self._service["healthcheck"]["test"]
        if words == ["scripts/mariadb-healthcheck"]:
            words += [str(port) for port in self._ports]
        words = [word.replace('"127.0.0.1"', f'"127.0.0.1:{self.port}"').replace("$$", "$") for word in words]
        if kind == "CMD-SHELL":
            command = words[0].replace("redis-cli", f"redis-cli -p {self.port}").replace("psql", f"psql -p {self.port}")
            words = ["sh", "-c", command]
        done = subprocess.run(words, cwd=ROOT, env={**os.environ, **self.environment}, capture_output=True)
        return done.returncode == 0


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with what the image has under these names."""
    (tmp_path / "mongod").symlink_to(mongo_server.mongod())
    redis_server.binary(tmp_path)
    return tmp_path


@pytest.fixture
def folder(name: str, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a service keeps its data. PostgreSQL doesn't run as root, and only root can enter the folders of pytest."""
    if name != "postgresql":
        yield programs
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "healthcheck" in service])
def test_a_service_runs_and_its_health_check_sees_whether_it_does(name: str, folder: Path) -> None:
    with running(ComposeServer(name, folder)) as [server]:  # which waits for the check to pass
        server.stop()
        assert not server.answers()


@pytest.mark.parametrize("places", [["hs_port_wr", "hs_port"], ["port", "hs_port_wr"], ["hs_port", "port"]])
def test_mariadb_is_well_only_with_both_ports_of_handlersocket(mariadb: MariaDBServer, places: list[str]) -> None:
    def status(*places: str) -> int:
        ports = [str(getattr(mariadb, place)) for place in ("port", *places)]
        environment = {**os.environ, **mariadb.environment}
        return subprocess.run([ROOT / "scripts/mariadb-healthcheck", *ports], env=environment).returncode

    assert status("hs_port", "hs_port_wr") == 0
    assert status(*places) != 0
