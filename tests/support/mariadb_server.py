"""A real MariaDB for the tests: started by the run, on a free port, in a separate folder."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from .servers import ANSWER_WITHIN, Server, free_port, running

USER = "tester"
PASSWORD = "p@ss/wörd:%'\\"  # what a URL or SQL has to quote, and what Latin-1 and UTF-8 write differently

MIGRATIONS = Path(__file__).parents[2] / "migrations"

_RUN = Path(__file__).parents[2] / "scripts" / "run-mariadb"

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

# Nothing is synced to disk: what was acknowledged survives kill -9, though not the loss of power.
_QUICK = ("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--innodb-doublewrite=0")


class MariaDBServer(Server):
    """A mariadbd with HandlerSocket, run as in a container. `options` go to its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.socket = folder / "socket"
        self.hs_port, self.hs_secret = free_port(), secrets.token_hex(16)  # HandlerSocket's port for reading
        self.hs_port_wr, self.hs_secret_wr = free_port(), secrets.token_hex(16)  # and that for writing
        self.environment = {
            "MARIADB_USER": USER,
            "MARIADB_PASSWORD": PASSWORD,
            "HANDLERSOCKET_SECRET": self.hs_secret,
            "HANDLERSOCKET_SECRET_WR": self.hs_secret_wr,
        }
        self._options = options

    def url(self, database: str, port: int | None = None) -> str:
        """What a store is given; with the `port` of a proxy, if there is one."""
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def handlersocket_url(self, database: str) -> str:
        """What a store is given."""
        secrets = f"port_wr={self.hs_port_wr}&secret_wr={self.hs_secret_wr}"
        return f"handlersocket://:{self.hs_secret}@127.0.0.1:{self.hs_port}/{database}/php_session?{secrets}"

    def run(self, sql: str, database: str = "mysql", *, force: bool = False) -> str:
        """Run statements by the command line client, as an operator would; rows come back as tab-separated lines.

        With `force` those that fail are passed over.
        """
        options = ["--force"] if force else []
        return _query([*options, f"--socket={self.socket}", f"--user={USER}", database], PASSWORD, sql, force=force)

    def command(self) -> list[str]:
        ports = {"port": self.port, "handlersocket-port": self.hs_port, "handlersocket-port-wr": self.hs_port_wr}
        places = [f"--{name}={port}" for name, port in ports.items()]
        places += ["--bind-address=127.0.0.1", "--handlersocket-address=127.0.0.1"]
        return [str(_RUN), str(self.folder), *places, *_QUICK, *self._options]

    def answers(self) -> bool:
        """Whether all three ports are this server's: with one taken by another it would run on without a word."""
        ports = {self.hs_port: self.hs_secret, self.hs_port_wr: self.hs_secret_wr}
        return _greets(self.port) and all(_lets_in(port, secret) for port, secret in ports.items())


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


def run_sql(url: str, sql: str) -> str:
    """Run statements in the database of a URL, as `MariaDBServer.run` does."""
    return _query(*_account(url), sql)


def empty(url: str, table: str) -> None:
    """Delete all rows of a table in the database of a URL, by a client process that is kept for the run."""
    try:
        _kept_client(url).run(f"DELETE FROM {table}")
    except (OSError, RuntimeError):  # a test has killed all connections, this one too
        _kept_client.cache_clear()
        _kept_client(url).run(f"DELETE FROM {table}")


class _KeptClient:
    """The command line client, which costs more to start than a statement does to run."""

    def __init__(self, arguments: list[str], password: str) -> None:
        self._process = subprocess.Popen(
            ["mariadb", *_OPTIONS, "--unbuffered", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "MYSQL_PWD": password},
        )
        atexit.register(self._process.communicate)  # closes its input, which ends it

    def run(self, sql: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{sql};\nSELECT 'done';\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if line != "done\n":
            raise RuntimeError(line or "the client has ended")


@cache
def _kept_client(url: str) -> _KeptClient:
    return _KeptClient(*_account(url))


def _account(url: str) -> tuple[list[str], str]:
    """The client's arguments, and the password."""
    parts = urlsplit(url)
    address = ["--protocol=tcp", f"--host={parts.hostname}", f"--port={parts.port or 3306}"]
    account = [f"--user={unquote(parts.username or '')}", *parts.path.split("/")[1:]]
    return address + account, unquote(parts.password or "")


_OPTIONS = ("--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4")


def _query(arguments: list[str], password: str, sql: str, *, force: bool = False) -> str:
    done = subprocess.run(
        ["mariadb", *_OPTIONS, *arguments],
        input=sql,
        text=True,
        capture_output=True,
        env={**os.environ, "MYSQL_PWD": password},
    )
    if done.returncode and not force:
        raise RuntimeError(done.stderr)
    return done.stdout


def _greets(port: int) -> bool:
    """Whether a MySQL server says hello: protocol version 10, after the four bytes of a packet's header."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN) as connection:
            return connection.recv(5)[4:] == b"\x0a"
    except OSError:
        return False


def _lets_in(port: int, secret: str) -> bool:
    """Whether HandlerSocket takes this secret there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN) as connection:
            connection.sendall(f"A\t1\t{secret}\n".encode())
            return connection.recv(16) == b"0\t1\n"
    except OSError:
        return False
