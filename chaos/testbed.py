"""The system under test: a store's server, four workers, and proxies between the server and every other worker."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from starlette_sessions_ext.testing import FaultProxy
from tests.support.mariadb_server import MariaDBServer, make_databases
from tests.support.mongo_server import MongoServer
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.postgresql_server import make_databases as make_postgresql_databases
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, answers

STORES = ("memory", "sqlite", "redis", "mysql", "postgresql", "mongo", "handlersocket")
WORKERS = 4
APPLICATION = "chaos.application:create_app"


class Worker(Server):
    """A process of the application, `application` as uvicorn takes it, on the store that a URL names."""

    def __init__(self, folder: Path, url: str, application: str) -> None:
        super().__init__(folder)
        self.environment = {"SESSIONS": url, "PYTHONPATH": str(Path(__file__).parents[1])}
        self._application = application

    def command(self) -> list[str]:
        place = ["--port", str(self.port), "--loop", "uvloop", "--log-level", "warning", "--timeout-keep-alive", "600"]
        return [sys.executable, "-m", "uvicorn", "--factory", self._application, *place]

    def answers(self) -> bool:
        return answers(self.port)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


@dataclass(frozen=True)
class Testbed:
    """`server` is None where the store needs none, and there are no proxies then."""

    store: str
    server: Server | None
    workers: Sequence[Worker]
    proxies: Sequence[FaultProxy]
    portal: BlockingPortal  # to the event loop of the proxies

    @property
    def ports(self) -> list[int]:
        return [worker.port for worker in self.workers]


@contextmanager
def running_testbed(store: str, folder: Path, application: str = APPLICATION) -> Iterator[Testbed]:
    """Start what the store needs."""
    with ExitStack() as stack:
        server = _server(store, folder)
        if server is not None:
            stack.callback(server.stop)
            server.start()
        if isinstance(server, MariaDBServer):
            make_databases(server)
        if isinstance(server, PostgreSQLServer):
            make_postgresql_databases(server)
        portal = stack.enter_context(start_blocking_portal())
        urls, proxies = [url_of(store, server, folder)], []
        for port in _ports(store, server):
            proxy = portal.wrap_async_context_manager(FaultProxy("127.0.0.1", port))
            proxies.append(stack.enter_context(proxy))
        if proxies:
            urls.append(_through(proxies, urls[0], _ports(store, server)))
        count = 1 if store == "memory" else WORKERS
        workers = [Worker(folder, urls[number % len(urls)], application) for number in range(count)]
        for worker in workers:
            stack.callback(worker.stop)
            worker.launch()
        for worker in workers:
            worker.wait()
        yield Testbed(store, server, workers, proxies, portal)


def _server(store: str, folder: Path) -> Server | None:
    """With settings under which what was acknowledged outlives kill -9."""
    if store == "redis":
        return RedisServer(folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
    if store == "mongo":
        return MongoServer(folder)
    if store == "postgresql":
        return PostgreSQLServer()
    return MariaDBServer(folder) if store in ("mysql", "handlersocket") else None


def _ports(store: str, server: Server | None) -> list[int]:
    """The port on which the server takes the workers' requests."""
    if isinstance(server, MariaDBServer) and store == "handlersocket":
        return [server.hs_port, server.hs_port_wr]
    return [] if server is None else [server.port]


def url_of(store: str, server: Server | None, folder: Path) -> str:
    """The settings of a worker."""
    if isinstance(server, MariaDBServer):
        return server.url("fresh") if store == "mysql" else server.handlersocket_url("fresh")
    if isinstance(server, PostgreSQLServer):
        return server.url()
    if isinstance(server, RedisServer | MongoServer):
        return server.url
    return "memory://" if store == "memory" else f"sqlite:///{folder / 'sessions.db'}"


def _through(proxies: Sequence[FaultProxy], url: str, ports: Sequence[int]) -> str:
    for proxy, port in zip(proxies, ports, strict=True):
        url = re.sub(rf"(:|port_wr=){port}\b", rf"\g<1>{proxy.port}", url)
    return url
