"""Real servers for the tests: each run starts its own, on free ports, in a folder of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

READY_WITHIN = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A redis-server process, which dies with the test run however that ends. `options` go to its command line."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(_redis_binary(self._folder)), *self._options, "--port", str(self.port), "--bind", "127.0.0.1"]
        log = self._folder / f"redis-{self.port}.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*die_with_parent(), *command], stdout=output, stderr=output, cwd=self._folder
            )
        deadline = time.monotonic() + READY_WITHIN
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server didn't start: {log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """One server without persistence."""
    with _running([RedisServer(folder, "--save", "")]) as [server]:
        yield server


@contextmanager
def running_cluster(folder: Path) -> Iterator[list[RedisServer]]:
    """A Redis Cluster of three masters, which takes two seconds to agree."""
    nodes = []
    for port in free_ports_with_bus(3):
        settings = ("--save", "", "--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf")
        nodes.append(RedisServer(folder, *settings, port=port))
    with _running(nodes):
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, capture_output=True
        )
        for node in nodes:
            _wait_until(partial(_is_clustered, node.port))
        yield nodes


@contextmanager
def running_sentinel(folder: Path) -> Iterator[RedisServer]:
    """A master that is called `main`, and the Sentinel that knows it; yields the Sentinel."""
    with running_redis(folder) as master:
        settings = folder / "sentinel.conf"
        settings.write_text(f"sentinel monitor main 127.0.0.1 {master.port} 1\n")
        with _running([RedisServer(folder, str(settings), "--sentinel")]) as [sentinel]:
            yield sentinel


@contextmanager
def _running(servers: list[RedisServer]) -> Iterator[list[RedisServer]]:
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def free_ports_with_bus(count: int) -> list[int]:
    """Ports for Cluster nodes, which also take the port 10000 above."""
    ports: list[int] = []
    while len(ports) < count:
        port = free_port()
        if port > 55_535:
            port -= 10_000
        if port not in ports and not answers(port) and not answers(port + 10_000):
            ports.append(port)
    return ports


def _is_clustered(port: int) -> bool:
    info = subprocess.run(["redis-cli", "-p", str(port), "cluster", "info"], capture_output=True, check=True)
    return b"cluster_state:ok" in info.stdout


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("a server wasn't ready in time")
        time.sleep(0.02)


def _redis_binary(folder: Path) -> Path:
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


def die_with_parent() -> list[str]:
    """Let the kernel kill the server with the test run, even if that was killed itself (Linux only)."""
    if sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
        return [setpriv, "--pdeathsig", "KILL", "--"]
    return []


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
