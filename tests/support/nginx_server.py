"""A real nginx for the tests, which ends TLS in front of an application server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .servers import Server, answers

_CACHED = Path(__file__).parents[2] / ".cache" / "nginx" / "usr" / "sbin"


class Nginx(Server):
    """Serves https with a certificate that it makes. `location` is the part of its settings that a test tries."""

    def __init__(self, folder: Path, location: str) -> None:
        super().__init__(folder)
        self._location = location

    def command(self) -> list[str]:
        program = shutil.which("nginx", path=os.pathsep.join([str(_CACHED), os.environ["PATH"], "/usr/sbin"]))
        if program is None:
            raise RuntimeError("the tests need nginx: run scripts/install-servers")
        key, certificate = self.folder / "nginx.key", self.folder / "nginx.crt"
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop.example.com"]
        subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{name}_temp_path {self.folder / name};\n" for name in places)
        settings = self.folder / "nginx.conf"
        settings.write_text(
            f"""daemon off;
master_process off;
pid {self.folder / "nginx.pid"};
error_log stderr;
events {{}}
http {{
access_log off;
{temporary}
server {{
listen 127.0.0.1:{self.port} ssl;
ssl_certificate {certificate};
ssl_certificate_key {key};
{self._location}
}}
}}
"""
        )
        return [program, "-c", str(settings), "-p", str(self.folder), "-e", "stderr"]

    def answers(self) -> bool:
        return answers(self.port)
