"""A certificate authority and a server's certificate, made by the openssl command."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...support.mongo_server import MongoServer
from ...support.servers import answers, running

_NEW = "openssl req -x509 -newkey rsa:2048 -nodes -days 2"


class TLSServer(MongoServer):
    """A mongod that takes no connection without TLS. Its certificate is for `localhost` alone."""

    def __init__(self, folder: Path, *options: str) -> None:
        _make_certificates(folder)
        self.authority = folder / "ca.pem"
        files = ["--tlsCertificateKeyFile", str(folder / "server.pem"), "--tlsCAFile", str(self.authority)]
        super().__init__(folder, "--tlsMode", "requireTLS", *files, *options)
        self.url = f"mongodb://localhost:{self.port}/?tls=true&tlsCAFile={self.authority}"

    def answers(self) -> bool:
        return answers(self.port)


@contextmanager
def running_tls(folder: Path, *options: str) -> Iterator[TLSServer]:
    with running(TLSServer(folder, *options)) as [server]:
        yield server


def _make_certificates(folder: Path) -> None:
    def run(command: str) -> None:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)

    run(f"{_NEW} -subj /CN=authority -keyout ca.key -out ca.pem")
    signed = "-CA ca.pem -CAkey ca.key -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE"
    run(f"{_NEW} -subj /CN=localhost {signed} -keyout server.key -out server.crt")
    parts = [(folder / name).read_bytes() for name in ("server.key", "server.crt")]
    (folder / "server.pem").write_bytes(b"".join(parts))
