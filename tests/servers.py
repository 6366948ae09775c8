"""Real servers for the tests: each run starts its own, on free ports, in a folder of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READY_WITHIN = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A redis-server process without persistence, which dies with the test run however that ends."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(_redis_binary(self._folder)), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        log = (self._folder / "redis.log").open("ab")
        with log:
            self._process = subprocess.Popen([*_die_with_parent(), *command], stdout=log, stderr=log, cwd=self._folder)
        deadline = time.monotonic() + _READY_WITHIN
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server didn't start: {(self._folder / 'redis.log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


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


def _die_with_parent() -> list[str]:
    """Let the kernel kill the server with the test run, even if that was killed itself (Linux only)."""
    if sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
        return [setpriv, "--pdeathsig", "KILL", "--"]
    return []


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
