"""The servers that sessions are kept in, started by the run on free ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.mariadb_server import MariaDBServer, make_databases, running_mariadb
from tests.support.mongo_server import MongoServer, running_mongo
from tests.support.postgresql_server import PostgreSQLServer, running_postgresql
from tests.support.postgresql_server import make_databases as make_postgresql_databases
from tests.support.redis_server import VALKEY, RedisServer, running_redis

SYNCED = ("--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync")
POSTGRESQL_SYNCED = ("-c", "fsync=on", "-c", "shared_buffers=512MB")
UNSYNCED = ("--innodb-flush-log-at-trx-commit=2",)


class Services(NamedTuple):
    """URLs of stores; those of Redis and Valkey take the number of a database after them."""

    redis: str
    valkey: str
    database: str
    handlersocket: str
    mongo: str
    postgresql: str
    mariadb: MariaDBServer
    postgresql_server: PostgreSQLServer
    redis_server: RedisServer
    valkey_server: RedisServer
    mongo_server: MongoServer


@contextmanager
def running_services(folder: Path, mariadb: Sequence[str] = (), mongo: Sequence[str] = ()) -> Iterator[Services]:
    """Start servers that keep what they acknowledge, but for Redis and Valkey; `options` are added to theirs."""
    with (
        running_redis(folder) as redis_server,
        running_redis(folder, VALKEY) as valkey_server,
        running_mariadb(folder, *SYNCED, *mariadb) as mariadb_server,
        running_mongo(folder, *mongo) as mongo_server,
        running_postgresql(*POSTGRESQL_SYNCED) as postgresql_server,
    ):
        make_databases(mariadb_server)
        make_postgresql_databases(postgresql_server)
        yield Services(
            redis_server.url.rpartition("/")[0],
            valkey_server.url.rpartition("/")[0],
            mariadb_server.url("fresh"),
            mariadb_server.handlersocket_url("fresh"),
            f"{mongo_server.url}/session",
            postgresql_server.url(),
            mariadb_server,
            postgresql_server,
            redis_server,
            valkey_server,
            mongo_server,
        )
