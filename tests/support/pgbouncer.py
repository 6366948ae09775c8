"""A real PgBouncer for the tests, before a PostgreSQL of theirs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .postgresql_server import PASSWORD, USER, PostgreSQLServer, run_psql
from .servers import Server, running

_CACHED = Path(__file__).parents[2] / ".cache" / "pgbouncer" / "usr" / "sbin" / "pgbouncer"


class PgBouncer(Server):
    """Gives clients the connections of `server`, no more than `connections` at once."""

    def __init__(self, server: PostgreSQLServer, connections: int, mode: str = "transaction") -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="sessions-pgbouncer-")))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self._server = server
        self._connections, self._mode = connections, mode

    def url(self, options: str) -> str:
        return f"postgresql://{USER}:pw@127.0.0.1:{self.port}/fresh?{options}"

    def command(self) -> list[str]:
        program = shutil.which(
            "pgbouncer", path=os.pathsep.join([str(_CACHED.parent), os.environ["PATH"], "/usr/sbin"])
        )
        if program is None:
            raise RuntimeError("the tests need pgbouncer: run scripts/install-servers")
        settings = self.folder / "pgbouncer.ini"
        password = PASSWORD.replace("'", "''")
        settings.write_text(
            f"""[databases]
fresh = host=127.0.0.1 port={self._server.port} user={USER} password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = {self._mode}
default_pool_size = {self._connections}
"""
        )
        if os.getuid():
            return [program, str(settings)]
        shutil.chown(self.folder, "postgres")  # it doesn't run as root either
        shutil.chown(settings, "postgres")
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=keep", "--"]
        return [*user, program, str(settings)]

    def answers(self) -> bool:
        try:
            return run_psql("SELECT 1", self.url("")) == "1\n"
        except RuntimeError:
            return False


@contextmanager
def running_pgbouncer(server: PostgreSQLServer, connections: int, mode: str = "transaction") -> Iterator[PgBouncer]:
    with running(PgBouncer(server, connections, mode)) as [bouncer]:
        yield bouncer
