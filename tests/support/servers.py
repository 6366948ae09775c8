"""Real servers for the tests: each run starts its own, on free ports, in a separate folder."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

READY_WITHIN = 90.0
ANSWER_WITHIN = 5.0
"""Seconds for one look whether a server answers: much more than it takes, for each look is made anew."""


class Server:
    """A server process, which dies with the test run however that ends."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What to start; here is the place to write its settings."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it does its work, in its own protocol."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers. After `stop` it goes on with the same data."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        command = self.command()
        self._log = self.folder / f"{Path(command[0]).name}-{self.port}.log"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*die_with_parent(), *command],
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**os.environ, **self.environment},
            )

    def wait(self) -> None:
        """Until it answers."""
        process, log = self._process, self._log
        assert process is not None

        def is_ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{log.stem} didn't start: {log.read_text()}")
            return self.answers()

        wait_until(is_ready)

    def stop(self) -> None:
        """kill -9: nothing is written that wasn't before."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped in its tracks: connections stay open, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # until the last of its threads has
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def running(*servers: AnyServer) -> Iterator[tuple[AnyServer, ...]]:
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("a server wasn't ready in time")
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody has, and no outgoing connection will be given before the server starts: below 32768."""
    while True:
        port = 10_000 + secrets.randbelow(32_768 - 10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def answers(port: int) -> bool:
    """Whether a server listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN):
            return True
    except OSError:
        return False


def die_with_parent() -> list[str]:
    """Let the kernel kill the server with the test run, even if that was killed itself (Linux only)."""
    if sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
        return [setpriv, "--pdeathsig", "KILL", "--"]
    return []
