"""A HandlerSocketStore on the tests' server."""

from __future__ import annotations

from typing import Any

from starlette_sessions_ext import HandlerSocketStore

from ...support.mariadb_server import MariaDBServer


def make_store(server: MariaDBServer, database: str = "fresh", **options: Any) -> HandlerSocketStore:
    settings: dict[str, Any] = {"port": server.hs_port, "port_wr": server.hs_port_wr}
    settings |= {"secret": server.hs_secret, "secret_wr": server.hs_secret_wr, "dbname": database}
    return HandlerSocketStore("127.0.0.1", **{**settings, **options})
