"""A real MariaDB for the tests: started by the run, on a free port, in a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from .servers import Server, free_port, running

USER = "tester"
PASSWORD = "p@ss/wörd:%"  # what a URL has to quote, and what Latin-1 and UTF-8 write differently

MIGRATIONS = Path(__file__).parent.parent / "migrations"

_PLUGINS = Path(__file__).parent.parent / ".cache" / "mariadb-plugins"  # scripts/servers puts HandlerSocket there

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


class MariaDBServer(Server):
    """A mariadbd with HandlerSocket. `options` are further lines of its settings file."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.socket = folder / "socket"
        self.hs_port, self.hs_secret = free_port(), secrets.token_hex(16)  # HandlerSocket's port for reading
        self.hs_port_wr, self.hs_secret_wr = free_port(), secrets.token_hex(16)  # and that for writing
        self._options = options

    def url(self, database: str, port: int | None = None) -> str:
        """What a store is given; with the `port` of a proxy, if there is one."""
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def handlersocket_url(self, database: str) -> str:
        """What a store is given."""
        secrets = f"port_wr={self.hs_port_wr}&secret_wr={self.hs_secret_wr}"
        return f"handlersocket://:{self.hs_secret}@127.0.0.1:{self.hs_port}/{database}/php_session?{secrets}"

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

    def command(self) -> list[str]:
        if not (self.folder / "data").exists():
            self._install()
        return [_program("mariadbd"), f"--defaults-file={self.folder / 'my.cnf'}", *_as_user()]

    def answers(self) -> bool:
        """Whether all three ports are this server's: with one taken by another it would run on without a word."""
        ports = {self.hs_port: self.hs_secret, self.hs_port_wr: self.hs_secret_wr}
        return _greets(self.port) and all(_lets_in(port, secret) for port, secret in ports.items())

    def _install(self) -> None:
        (self.folder / "tmp").mkdir(exist_ok=True)
        (self.folder / "init.sql").write_text(_INIT)
        paths = f"datadir={self.folder / 'data'}\ntmpdir={self.folder / 'tmp'}\nsocket={self.socket}\n"
        common = (
            f"[mariadbd]\n{paths}pid-file={self.folder / 'pid'}\nport={self.port}\nbind-address=127.0.0.1{_SETTINGS}"
        )
        (self.folder / "install.cnf").write_text(common)
        own = "\n".join([f"init-file={self.folder / 'init.sql'}", *self._handlersocket(), *self._options, ""])
        (self.folder / "my.cnf").write_text(common + own)
        done = subprocess.run(
            [
                _program("mariadb-install-db"),
                f"--defaults-file={self.folder / 'install.cnf'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *_as_user(),
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")

    def _handlersocket(self) -> list[str]:
        """Settings that the server knows only with the plugin, so mariadb-install-db isn't given them."""
        if not (_PLUGINS / "handlersocket.so").exists():
            raise RuntimeError(
                "the tests need HandlerSocket: scripts/servers puts it into .cache (scripts/test does it)"
            )
        return [
            f"plugin-dir={_PLUGINS}",
            "plugin-maturity=beta",
            "plugin-load-add=handlersocket",
            "loose-handlersocket-address=127.0.0.1",
            f"loose-handlersocket-port={self.hs_port}",
            f"loose-handlersocket-port-wr={self.hs_port_wr}",
            f"loose-handlersocket-plain-secret={self.hs_secret}",
            f"loose-handlersocket-plain-secret-wr={self.hs_secret_wr}",
            "loose-handlersocket-threads=2",
            "loose-handlersocket-threads-wr=1",
        ]


@contextmanager
def running_mariadb(folder: Path, *options: str) -> Iterator[MariaDBServer]:
    with running(MariaDBServer(folder, *options)) as [server]:
        yield server


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


def _lets_in(port: int, secret: str) -> bool:
    """Whether HandlerSocket takes this secret there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"A\t1\t{secret}\n".encode())
            return connection.recv(16) == b"0\t1\n"
    except OSError:
        return False
