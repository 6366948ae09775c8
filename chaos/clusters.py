"""Servers that stand in for one another, with short times until they do: what a failover is tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.asyncio import RedisCluster, Sentinel

from starlette_sessions_ext import MongoStore, RedisStore, SessionStore
from tests.support.mongo_server import MongoServer, running_members, state
from tests.support.redis_server import RedisServer, running_cluster
from tests.support.servers import Server, running, wait_until

DETECTED_AFTER = 1.0
"""Seconds without a sign of life after which a primary is given up, at the longest of the clusters here."""

MAX_LAG = 1
"""Seconds: `min-replicas-max-lag`. Redis computes it in whole seconds, once a second, so what it bounds is bounded to
one more."""

MIN_REPLICAS = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", str(MAX_LAG))

_REDIS = ("--save", "", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Servers of which some may be down."""

    servers: Sequence[Server]
    replicas: int
    store: Callable[[], AbstractAsyncContextManager[SessionStore]]
    """Makes the store of an application, which knows all the servers."""
    is_primary: Callable[[Any], bool]
    """Return whether a server, which must be up, takes writes."""
    is_replica: Callable[[Any], bool]
    """Return whether it follows a primary and has the same data."""
    position: Callable[[Any], tuple[int, int]] | None = None
    """The port of the primary that a server goes by, its own if it is one, and how far it has come.

    None where a primary acknowledges nothing before replicas have it.
    """

    def primaries(self) -> list[Server]:
        """Those that take writes; all servers must be up."""
        return [server for server in self.servers if self.is_primary(server)]

    def has_promoted(self, primaries: list[Server]) -> bool:
        """Return whether a server takes writes that isn't among these."""
        return any(self.is_primary(server) for server in self.servers if server not in primaries)

    def wait_until_replicated(self) -> None:
        """Until the replicas have what their primaries have now; all servers must be up."""
        position = self.position
        if position is None:
            return
        wanted = dict(map(position, self.primaries()))

        def is_replicated() -> bool:
            return all(reached >= wanted[primary] for primary, reached in map(position, self.servers))

        wait_until(is_replicated)

    def wait_until_all_follow(self) -> None:
        """Until one that came back has found its place."""
        wait_until(lambda: sum(map(self.is_replica, self.servers)) == self.replicas)


@contextmanager
def _sentinels(folder: Path, *options: str) -> Iterator[Cluster]:
    """A master, two replicas and three Sentinels, of which two must agree."""
    with running(RedisServer(folder, *_REDIS, *options)) as [master]:
        following = (*_REDIS, *options, "--replicaof", f"127.0.0.1 {master.port}")
        with running(*(RedisServer(folder, *following) for _ in range(2))) as replicas:
            for replica in replicas:  # a Sentinel that comes before they follow learns of them ten seconds later
                wait_until(partial(_follows, replica))
            with running(*(_sentinel(folder, master, number) for number in range(3))) as watches:
                for watch in watches:
                    with _asked(watch) as client:
                        periods = (f"{name}-period 200" for name in ("info", "ask", "publish"))
                        client.execute_command("SENTINEL DEBUG " + " ".join(periods))
                for watch in watches:
                    wait_until(partial(_knows_all, watch))
                addresses = [("127.0.0.1", watch.port) for watch in watches]
                yield Cluster((master, *replicas), 2, lambda: _sentinel_store(addresses), _leads, _follows, _position)


def _sentinel(folder: Path, master: RedisServer, number: int) -> RedisServer:
    settings = folder / f"sentinel-{number}.conf"
    settings.write_text(
        f"sentinel monitor main 127.0.0.1 {master.port} 2\n"
        "sentinel down-after-milliseconds main 1500\n"  # below the second between pings, new masters are given up
        "sentinel failover-timeout main 2000\n"
    )
    return RedisServer(folder, str(settings), "--sentinel")


@asynccontextmanager
async def _sentinel_store(addresses: list[tuple[str, int]]) -> AsyncIterator[SessionStore]:
    watch = Sentinel(addresses)  # type: ignore[no-untyped-call]
    async with watch.master_for("main") as client, RedisStore(client) as store:
        yield store
    for sentinel_client in watch.sentinels:
        await sentinel_client.aclose()


@contextmanager
def _redis_cluster(folder: Path, *options: str) -> Iterator[Cluster]:
    """Three masters, each with a replica."""
    timeout = str(int(DETECTED_AFTER * 1000))
    settings = ("--cluster-node-timeout", timeout, "--cluster-replica-validity-factor", "0", *_REDIS[2:], *options)
    with running_cluster(folder, *settings, replicas=1) as nodes:
        wait_until(lambda: sum(map(_follows, nodes)) == 3)
        yield Cluster(nodes, 3, lambda: _cluster_store(nodes[-1].port), _leads, _follows, _position)


@asynccontextmanager
async def _cluster_store(port: int) -> AsyncIterator[SessionStore]:
    # A client that its store cancels at the deadline, before its own timeout, doesn't look for the new master.
    async with RedisCluster("127.0.0.1", port, socket_timeout=0.5) as client, RedisStore(client) as store:
        yield store


@contextmanager
def _replica_set(folder: Path) -> Iterator[Cluster]:
    """Three members, each with the data."""
    short = {
        "electionTimeoutMillis": int(DETECTED_AFTER * 1000),
        "heartbeatIntervalMillis": 200,
        "heartbeatTimeoutSecs": 1,
        "catchUpTimeoutMillis": 500,
    }
    unfrozen = (
        "--setParameter",
        "oplogNetworkTimeoutBufferSeconds=1",
    )  # or a secondary goes on hanging on a frozen one
    with running_members(folder, 3, *unfrozen, **short) as members:
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in members)
        url = f"mongodb://{hosts}/session?replicaSet=rs&heartbeatFrequencyMS=500"
        yield Cluster(members, 2, lambda: MongoStore(url), _is_primary, _is_secondary)


def _is_primary(member: MongoServer) -> bool:
    return state(member) == "primary"


def _is_secondary(member: MongoServer) -> bool:
    return state(member) == "secondary"


def _asked(server: RedisServer) -> Redis:
    return Redis(port=server.port, socket_timeout=1)


def _leads(server: RedisServer) -> bool:
    with _asked(server) as client:
        return bool(client.info("replication")["role"] == "master")


def _follows(server: RedisServer) -> bool:
    with _asked(server) as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def _position(server: RedisServer) -> tuple[int, int]:
    with _asked(server) as client:
        found = client.info("replication")
    if found["role"] == "master":
        return server.port, int(found["master_repl_offset"])
    return int(found["master_port"]), int(found["slave_repl_offset"])


def _knows_all(watch: RedisServer) -> bool:
    with _asked(watch) as client:
        known = client.sentinel_master("main")
    return bool(known["num-slaves"] == 2 and known["num-other-sentinels"] == 2)


CLUSTERS: dict[str, Callable[[Path], AbstractContextManager[Cluster]]] = {
    "sentinel": _sentinels,
    "sentinel, min-replicas": lambda folder: _sentinels(folder, *MIN_REPLICAS),
    "cluster": _redis_cluster,
    "cluster, min-replicas": lambda folder: _redis_cluster(folder, *MIN_REPLICAS),
    "replica set": _replica_set,
}
