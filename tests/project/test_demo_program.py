"""python -m examples.demo: the port that it takes, and how it starts and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo import __main__ as program
from tests.support import pages
from tests.support.servers import free_port


def test_it_takes_a_free_port_if_none_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(program, "PORT", port)
        with program.listen(None) as listener:
            assert listener.getsockname()[1] != port
        with pytest.raises(SystemExit, match=rf"Port {port} can't be used .*--port 8001"):
            program.listen(port)
    with program.listen(None) as listener:
        assert listener.getsockname()[1] == port


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cant_be_is_refused(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", f"--port={port}"])
    with pytest.raises(SystemExit):
        program.main()
    assert "a port is a number from 1 to 65535" in capsys.readouterr().err


def test_it_runs_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    running = subprocess.Popen(
        [sys.executable, "-m", "examples.demo", "--port", str(port)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(pages.ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout
        try:
            assert f"http://127.0.0.1:{port} (sessions in SQLiteStore" in running.stdout.readline()
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert connection.recv(15) == b"HTTP/1.1 200 OK"
        finally:
            running.send_signal(signal.SIGINT)
    assert running.returncode == 0
    assert (tmp_path / "demo.db").exists()
