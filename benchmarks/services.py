"""The servers that sessions are kept in, started by the run on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.mariadb_server import MariaDBServer, make_databases, running_mariadb
from tests.mongo_server import running_mongo
from tests.redis_server import running_redis

SYNCED = ("--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync")
UNSYNCED = ("--innodb-flush-log-at-trx-commit=2",)


class Services(NamedTuple):
    """URLs of stores; Redis' takes the number of a database after it."""

    redis: str
    database: str
    handlersocket: str
    mongo: str
    mariadb: MariaDBServer


@contextmanager
def running_services(folder: Path, mariadb_options: tuple[str, ...] = SYNCED) -> Iterator[Services]:
    with (
        running_redis(folder) as redis,
        running_mariadb(folder, *mariadb_options) as mariadb,
        running_mongo(folder) as mongo,
    ):
        make_databases(mariadb)
        yield Services(
            redis.url.rpartition("/")[0],
            mariadb.url("fresh"),
            mariadb.handlersocket_url("fresh"),
            f"{mongo.url}/session",
            mariadb,
        )
