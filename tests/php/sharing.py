"""How each store of sessions and a real PHP share them, over the port of a server or of a proxy before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from starlette_sessions_ext.php.files import PHPFileStore
from starlette_sessions_ext.php.handlersocket import PHPHandlerSocketStore
from starlette_sessions_ext.php.mongo import PHPMongoStore
from starlette_sessions_ext.php.mysql import PHPDatabaseStore, PHPSessionTableStore
from starlette_sessions_ext.php.redis import PHPRedisStore
from starlette_sessions_ext.stores.base import SessionStore

from ..support.mariadb_server import MariaDBServer
from ..support.mongo_server import MongoServer
from ..support.php_server import PHPServer
from ..support.redis_server import RedisServer
from .php_tables import DATABASE, make_tables

STORES = ("files", "redis", "session_data", "php_session", "handlersocket", "mongo")
WITH_SERVER = STORES[1:]
IN_TABLES = ("session_data", "php_session", "handlersocket")


class Sharing(NamedTuple):
    """A store, and the settings of a PHP that has its sessions in the same place. A process can be given it."""

    kind: Callable[..., SessionStore]
    options: dict[str, Any]
    page: str
    settings: dict[str, object]
    extensions: tuple[str, ...] = ()

    def store(self, **options: Any) -> Any:
        return self.kind(**{**self.options, **options})

    def php(self, folder: Path) -> PHPServer:
        return PHPServer(folder, self.settings, self.extensions)


class Place(NamedTuple):
    """Where sessions are. `port` is that of the server, which both sides use for reading and writing."""

    port: int
    sharing: Callable[[int], Sharing]


def place_of(name: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    """Start what the store of this name needs."""
    if name == "files":
        settings: dict[str, object] = {"session.save_path": folder, "session.gc_probability": 0}
        return Place(0, lambda _: Sharing(PHPFileStore, {"save_path": str(folder)}, "session.php", settings))
    if name == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        return Place(redis.port, in_redis)
    if name == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo_server")
        return Place(mongo.port, _in_mongo)
    mariadb: MariaDBServer = request.getfixturevalue("mariadb")
    make_tables(mariadb)
    mariadb.run(f"CREATE OR REPLACE USER php IDENTIFIED BY 'php'; GRANT ALL ON {DATABASE}.* TO php;")
    if name == "session_data":
        return Place(mariadb.port, lambda port: _in_session_data(mariadb, port))
    if name == "php_session":
        return Place(mariadb.port, lambda port: _in_php_session(mariadb, port))
    return Place(mariadb.hs_port_wr, lambda port: _through_handlersocket(mariadb, port))


def in_redis(port: int) -> Sharing:
    path = f"tcp://127.0.0.1:{port}"
    settings: dict[str, object] = {"session.save_handler": "redis", "session.save_path": path}
    return Sharing(PHPRedisStore, {"save_path": path}, "session.php", settings, ("igbinary", "redis"))


def _in_mongo(port: int) -> Sharing:
    url = f"mongodb://127.0.0.1:{port}"
    options = {"collection_or_url": f"{url}/php_shared"}
    return Sharing(PHPMongoStore, options, "mongo.php", {"test.mongo": url}, ("mongodb",))


def _in_session_data(mariadb: MariaDBServer, port: int) -> Sharing:
    dsn = f"mysql:host=127.0.0.1;port={port};dbname={DATABASE};charset=utf8mb4"
    settings: dict[str, object] = {"test.dsn": dsn}
    options = {"url": mariadb.url(DATABASE, port)}
    return Sharing(PHPDatabaseStore, options, "database.php", settings, ("mysqlnd", "pdo", "pdo_mysql"))


def _through_handlersocket(mariadb: MariaDBServer, port: int) -> Sharing:
    settings: dict[str, object] = {
        "test.handlersocket": f"127.0.0.1:{port}",
        "test.secret": mariadb.hs_secret_wr,
        "test.database": DATABASE,
    }
    options = {"host": "127.0.0.1", "port": port, "port_wr": port, "dbname": DATABASE, "secret": mariadb.hs_secret_wr}
    return Sharing(PHPHandlerSocketStore, options, "handlersocket.php", settings)


def _in_php_session(mariadb: MariaDBServer, port: int) -> Sharing:
    """Python by SQL, at the port; PHP through HandlerSocket."""
    through_handlersocket = _through_handlersocket(mariadb, mariadb.hs_port_wr)
    return through_handlersocket._replace(kind=PHPSessionTableStore, options={"url": mariadb.url(DATABASE, port)})
