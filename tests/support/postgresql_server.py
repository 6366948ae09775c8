"""A real PostgreSQL for the tests: started by the run, on a free port, in a folder that its user can reach."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote

from .servers import Server, running

USER = "tester"
PASSWORD = "p@ss/wörd:%'\\"  # what a URL or SQL has to quote

MIGRATIONS = Path(__file__).parents[2] / "migrations" / "postgresql"

_RUN = Path(__file__).parents[2] / "scripts" / "run-postgresql"

# Nothing is synced to disk: what was acknowledged survives kill -9, though not the loss of power.
_QUICK = ("-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=200")


class PostgreSQLServer(Server):
    """A server run as in a container, with the database `fresh`. `options` go to its command line."""

    def __init__(self, *options: str) -> None:
        # PostgreSQL doesn't run as root, and only root can enter the folders that pytest makes.
        super().__init__(Path(tempfile.mkdtemp(prefix="sessions-postgresql-")))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "fresh"}
        self._options = options

    def url(self, database: str = "fresh", port: int | None = None) -> str:
        """Return what a store is given; with the `port` of a proxy, if there is one, and without TLS there.

        A proxy can hold a connect up until it is cancelled. If asyncpg was to ask for TLS next, it leaves a
        failed future behind, and the event loop complains of that.
        """
        tls = "" if port is None else "?sslmode=disable"
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}{tls}"

    def run(self, sql: str, database: str = "fresh") -> str:
        """Run statements by psql, as an operator would; rows come back as lines of fields separated by tabs."""
        return run_psql(sql, f"--host={self.folder}", f"--port={self.port}", f"--username={USER}", database)

    def use_certificate(self, certificate: Path, key: Path) -> None:
        """Take these files where the server looks for them when `ssl` is on."""
        for path, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self.folder / "data" / name
            shutil.copy(path, target)
            target.chmod(0o600)
            shutil.chown(target, *_owner(self.folder / "data"))

    def command(self) -> list[str]:
        place = [f"--port={self.port}", "-c", "listen_addresses=127.0.0.1"]
        return [str(_RUN), str(self.folder), *place, *_QUICK, *self._options]

    def answers(self) -> bool:
        try:
            return self.run("SELECT 1", "postgres") == "1\n"
        except RuntimeError:
            return False

    def stop(self) -> None:
        """kill -9 of the server's processes: a new server waits for the last of them."""
        children = self._children()
        super().stop()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        while any(map(_lives, children)):
            time.sleep(0.005)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server and its processes for each connection: connections stay open, and nothing answers."""
        with super().frozen():
            children = self._children()
            for child in children:
                os.kill(child, signal.SIGSTOP)
            try:
                yield
            finally:
                for child in children:
                    os.kill(child, signal.SIGCONT)

    def _children(self) -> list[int]:
        if self._process is None:
            return []
        with suppress(FileNotFoundError):
            return [int(pid) for pid in _children_file(self._process.pid).read_text().split()]
        return []


def _children_file(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def _lives(pid: int) -> bool:
    """Return whether a process still runs; one that is only waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


@contextmanager
def running_postgresql(*options: str) -> Iterator[PostgreSQLServer]:
    with running(PostgreSQLServer(*options)) as [server]:
        yield server


class Standby(PostgreSQLServer):
    """A server that follows `primary` until it is promoted."""

    def __init__(self, primary: PostgreSQLServer) -> None:
        super().__init__()
        self._primary = primary

    def command(self) -> list[str]:
        data = self.folder / "data"
        if not data.exists():
            place = [f"--host={self._primary.folder}", f"--port={self._primary.port}", f"--username={USER}"]
            how = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", f"--pgdata={data}"]
            subprocess.run([program("pg_basebackup"), *place, *how], check=True)
            for path in [self.folder, data, *data.rglob("*")]:
                shutil.chown(path, *_owner(self._primary.folder))
        return super().command()


def _owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid


@contextmanager
def running_standby(primary: PostgreSQLServer) -> Iterator[Standby]:
    with running(Standby(primary)) as [server]:
        yield server


def make_databases(server: PostgreSQLServer) -> None:
    """Make the table in `fresh` as the migrations do, and the empty database `other`."""
    server.run("CREATE DATABASE other")
    migrate(server.url())


def migrate(url: str) -> None:
    """Make the table in the database of a URL, as the migrations do."""
    for migration in sorted(MIGRATIONS.glob("*.sql")):
        run_sql(url, migration.read_text())


def run_sql(url: str, sql: str) -> str:
    """Run statements in the database of a URL, as `PostgreSQLServer.run` does."""
    return run_psql(sql, url)


def empty(url: str, table: str = "sessions") -> None:
    """Delete all rows of a table in the database of a URL."""
    run_sql(url, f"TRUNCATE {table}")


def run_psql(sql: str, *arguments: str) -> str:
    options = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t", "--set=ON_ERROR_STOP=1")
    done = subprocess.run([program("psql"), *options, *arguments], input=sql, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


@cache
def program(name: str) -> str:
    """Return the path of a program of PostgreSQL's, of the newest version that Debian's packages have installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    path = shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"]]))
    if path is None:
        raise RuntimeError(f"the tests need {name}: run scripts/install-servers")
    return path
