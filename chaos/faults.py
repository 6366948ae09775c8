"""Faults that are injected while users work. Each lasts for some seconds, and is then undone."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis

from tests.support.mariadb_server import MariaDBServer
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.redis_server import RedisServer
from tests.support.servers import Server

from .testbed import Testbed

Fault = Callable[[Testbed, float], None]


def server_killed(testbed: Testbed, seconds: float) -> None:
    """kill -9, and after a while a start on the same data."""
    server = _server(testbed)
    server.stop()
    time.sleep(seconds)
    server.start()


def server_frozen(testbed: Testbed, seconds: float) -> None:
    with _server(testbed).frozen():
        time.sleep(seconds)


def worker_killed(testbed: Testbed, seconds: float) -> None:
    worker = random.choice(testbed.workers)
    worker.stop()
    time.sleep(seconds)
    worker.start()


def worker_frozen(testbed: Testbed, seconds: float) -> None:
    with random.choice(testbed.workers).frozen():
        time.sleep(seconds)


def bytes_late(testbed: Testbed, seconds: float) -> None:
    with _proxies(testbed, delay=0.05):
        time.sleep(seconds)


def bytes_one_by_one(testbed: Testbed, seconds: float) -> None:
    with _proxies(testbed, single_bytes=True):
        time.sleep(seconds)


def replies_cut(testbed: Testbed, seconds: float) -> None:
    with _proxies(testbed):
        for _ in _again_and_again(seconds):
            random.choice(testbed.proxies).cut_reply(random.randint(0, 40))


def replies_swallowed(testbed: Testbed, seconds: float) -> None:
    """A fault that TCP rules out, but a middlebox may cause."""
    with _proxies(testbed):
        for _ in _again_and_again(seconds):
            random.choice(testbed.proxies).drop_reply()


def connections_reset(testbed: Testbed, seconds: float) -> None:
    for _ in _again_and_again(seconds):
        _reset(testbed)


def connections_refused(testbed: Testbed, seconds: float) -> None:
    with _proxies(testbed, refusing=True):
        _reset(testbed)
        time.sleep(seconds)


def black_hole(testbed: Testbed, seconds: float) -> None:
    with _proxies(testbed, silent=True):
        time.sleep(seconds)


def scripts_flushed(testbed: Testbed, seconds: float) -> None:
    with _redis(testbed) as redis:
        for _ in _again_and_again(seconds):
            redis.script_flush()


def memory_full(testbed: Testbed, seconds: float) -> None:
    """maxmemory with the policy noeviction: Redis goes on reading, and refuses to write."""
    with _redis(testbed) as redis:
        redis.config_set("maxmemory", 1)
        time.sleep(seconds)
        redis.config_set("maxmemory", 0)


def connections_killed(testbed: Testbed, seconds: float) -> None:
    """By KILL, as an administrator does."""
    server = _mariadb(testbed)
    for _ in _again_and_again(seconds):
        ids = server.run("SELECT id FROM information_schema.processlist WHERE host LIKE '127.0.0.1:%'").split()
        server.run("".join(f"KILL {number};\n" for number in ids), force=True)


def row_locked(testbed: Testbed, seconds: float) -> None:
    """Another program's transaction holds the row of the largest session, which all use."""
    table, key, modified = _TABLES[testbed.store]
    server = _mariadb(testbed)
    [row] = server.run(
        f"SELECT {key} FROM {table} ORDER BY LENGTH(data) DESC, {modified} DESC LIMIT 1", "fresh"
    ).split()
    lock = f"SELECT {modified} FROM {table} WHERE {key} = '{row}' FOR UPDATE"
    server.run(f"BEGIN; {lock}; DO SLEEP({seconds}); ROLLBACK;", "fresh")


def backends_terminated(testbed: Testbed, seconds: float) -> None:
    """By pg_terminate_backend, as an administrator does."""
    server = _postgresql(testbed)
    for _ in _again_and_again(seconds):
        server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port > 0", "postgres")


def session_locked(testbed: Testbed, seconds: float) -> None:
    """Another transaction holds the row of the largest session, which all use."""
    row = "SELECT key FROM sessions ORDER BY length(data) DESC, expires_at DESC LIMIT 1"
    lock = f"SELECT 1 FROM sessions WHERE key = ({row}) FOR UPDATE"
    _postgresql(testbed).run(f"BEGIN; {lock}; SELECT pg_sleep({seconds}); ROLLBACK;")


def table_locked(testbed: Testbed, seconds: float) -> None:
    """As ALTER TABLE locks it, now and then for a moment."""
    for _ in _again_and_again(seconds):
        _postgresql(testbed).run("BEGIN; LOCK TABLE sessions; SELECT pg_sleep(0.2); ROLLBACK;")


def disk_full(testbed: Testbed, seconds: float) -> None:
    """No file of the workers can grow, nor be written to beyond its first KiB."""
    limits = [resource.prlimit(worker.pid, resource.RLIMIT_FSIZE) for worker in testbed.workers]
    for worker, (_, hard) in zip(testbed.workers, limits, strict=True):
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (1024, hard))
    time.sleep(seconds)
    for worker, limit in zip(testbed.workers, limits, strict=True):
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, limit)


_TABLES = {"mysql": ("session_data", "session_id", "modified_at"), "handlersocket": ("php_session", "id", "modified")}

_ON_SERVERS = [server_killed, server_frozen]
_ON_THE_WAY: list[Fault] = [
    *(bytes_late, bytes_one_by_one, replies_cut, replies_swallowed),
    *(connections_reset, connections_refused, black_hole),
]
_ON_WORKERS = [worker_killed, worker_frozen]
_ON_MARIADB = [connections_killed, row_locked]
_ON_POSTGRESQL = [backends_terminated, session_locked, table_locked]

FAULTS: dict[str, list[Fault]] = {
    "memory": [worker_frozen],
    "sqlite": [*_ON_WORKERS, disk_full],
    "redis": [*_ON_SERVERS, *_ON_THE_WAY, *_ON_WORKERS, scripts_flushed, memory_full],
    "mysql": [*_ON_SERVERS, *_ON_THE_WAY, *_ON_WORKERS, *_ON_MARIADB],
    "postgresql": [*_ON_SERVERS, *_ON_THE_WAY, *_ON_WORKERS, *_ON_POSTGRESQL],
    "mongo": [*_ON_SERVERS, *_ON_THE_WAY, *_ON_WORKERS],
    "handlersocket": [*_ON_SERVERS, *_ON_THE_WAY, *_ON_WORKERS, row_locked],
}
"""Those that make sense, by store. With its one process a memory store ends."""


def _again_and_again(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
        time.sleep(0.1)


@contextmanager
def _proxies(testbed: Testbed, **settings: float) -> Iterator[None]:
    """All of them with these settings, and healed afterwards, also of what hasn't struck yet."""
    for proxy in testbed.proxies:
        for name, value in settings.items():
            setattr(proxy, name, value)
    try:
        yield
    finally:
        for proxy in testbed.proxies:
            testbed.portal.call(proxy.heal)


def _reset(testbed: Testbed) -> None:
    for proxy in testbed.proxies:
        testbed.portal.call(proxy.reset)


def _server(testbed: Testbed) -> Server:
    assert testbed.server is not None
    return testbed.server


def _mariadb(testbed: Testbed) -> MariaDBServer:
    assert isinstance(testbed.server, MariaDBServer)
    return testbed.server


def _postgresql(testbed: Testbed) -> PostgreSQLServer:
    assert isinstance(testbed.server, PostgreSQLServer)
    return testbed.server


@contextmanager
def _redis(testbed: Testbed) -> Iterator[Redis]:
    assert isinstance(testbed.server, RedisServer)
    with Redis.from_url(testbed.server.url) as client:
        yield client
