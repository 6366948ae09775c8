"""A real MariaDB for the tests: started by the run, on a free port, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from .servers import READY_WITHIN, die_with_parent, free_port

USER = "tester"
PASSWORD = "p@ss/wörd:%"  # what a URL has to quote, and what Latin-1 and UTF-8 write differently

MIGRATIONS = Path(__file__).parent.parent / "migrations"

# What the README of the PHP adapters prints.
PHP_TABLES = """
CREATE TABLE `session_data` (
  `session_id` varchar(35) NOT NULL,
  `data` text NOT NULL,
  `created_at` int(15) unsigned NOT NULL,
  `modified_at` int(15) unsigned DEFAULT NULL,
  PRIMARY KEY (`session_id`)
);
CREATE TABLE `php_session` (
  `id` varchar(32) NOT NULL DEFAULT '',
  `modified` datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  `data` text,
  PRIMARY KEY (`id`),
  KEY `modified` (`modified`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8;
"""

# Small files, no sync to disk: what was acknowledged survives kill -9, though not the loss of power.
_SETTINGS = """
skip-name-resolve
skip-log-bin
performance-schema=OFF
character-set-server=utf8mb4
max-connections=200
innodb-buffer-pool-size=32M
innodb-log-file-size=8M
innodb-flush-log-at-trx-commit=2
innodb-flush-method=nosync
innodb-doublewrite=0
aria-log-file-size=8M
aria-pagecache-buffer-size=8M
"""

# --init-file wants one statement per line.
_INIT = f"""CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'%';
CREATE USER IF NOT EXISTS '{USER}'@'localhost' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'localhost';
"""


class MariaDBServer:
    """A mariadbd process, which dies with the test run however that ends.

    `options` are further lines of its settings file. `start` after `stop` goes on with the same data.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.socket = folder / "socket"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, port: int | None = None) -> str:
        """What a store is given; with the `port` of a proxy, if there is one."""
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def run(self, sql: str, database: str = "mysql") -> str:
        """Run statements by the command line client, as an operator would; rows come back as tab-separated lines."""
        command = ["mariadb", "--no-defaults", f"--socket={self.socket}", f"--user={USER}", "--batch", database]
        command += ["--skip-column-names", "--default-character-set=utf8mb4"]
        done = subprocess.run(
            command, input=sql, text=True, capture_output=True, env={**os.environ, "MYSQL_PWD": PASSWORD}
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def start(self) -> None:
        if not (self._folder / "data").exists():
            self._install()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*die_with_parent(), _program("mariadbd"), f"--defaults-file={self._folder / 'my.cnf'}", *_as_user()],
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + READY_WITHIN
        while not _greets(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd didn't start: {self._log.read_text()}")
            time.sleep(0.01)

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
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def _log(self) -> Path:
        return self._folder / "mariadbd.log"

    def _install(self) -> None:
        (self._folder / "tmp").mkdir(exist_ok=True)
        (self._folder / "init.sql").write_text(_INIT)
        paths = f"datadir={self._folder / 'data'}\ntmpdir={self._folder / 'tmp'}\nsocket={self.socket}\n"
        common = (
            f"[mariadbd]\n{paths}pid-file={self._folder / 'pid'}\nport={self.port}\nbind-address=127.0.0.1{_SETTINGS}"
        )
        (self._folder / "install.cnf").write_text(common)
        own = "\n".join([f"init-file={self._folder / 'init.sql'}", *self._options, ""])
        (self._folder / "my.cnf").write_text(common + own)
        done = subprocess.run(
            [
                _program("mariadb-install-db"),
                f"--defaults-file={self._folder / 'install.cnf'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *_as_user(),
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")


@contextmanager
def running_mariadb(folder: Path, *options: str) -> Iterator[MariaDBServer]:
    server = MariaDBServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def make_databases(server: MariaDBServer) -> None:
    """`fresh` as the migrations make it, `php` as the PHP adapters' README does, then upgraded; `other` is empty."""
    server.run("CREATE DATABASE fresh; CREATE DATABASE php CHARACTER SET utf8; CREATE DATABASE other;")
    server.run(f"SET sql_mode = ''; {PHP_TABLES}", "php")
    for database in ("fresh", "php"):
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            server.run(migration.read_text(), database)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(
            f"the tests need {name}: apt-get install mariadb-server-core mariadb-client-core (scripts/test does it)"
        )
    return found


def _as_user() -> list[str]:
    """mariadbd refuses to run as root unless it is told to."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _greets(port: int) -> bool:
    """Whether a MySQL server says hello: protocol version 10, after the four bytes of a packet's header."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(5)[4:] == b"\x0a"
    except OSError:
        return False
